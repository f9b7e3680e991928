//! The tensor a model takes, made from a frame by a recipe. Refuses frames that the recipe does not fit.

use thiserror::Error;

use super::recipe::{Channels, Dtype, Layout, Recipe, Resize, Roi};
use super::resize::Resampler;
use crate::frame::Frame;

/// Longest side of the intermediate image of a centre crop, in pixels.
const MAX_RESIZED_SIDE: u64 = 32_768;

/// Why a frame did not become a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PreprocessError {
    /// The region of interest leaves the image.
    #[error("region of interest {roi:?} leaves the {width}×{height} image; give [x, y, width, height] inside it")]
    Roi {
        /// The region as `[x, y, width, height]`.
        roi: [u32; 4],
        /// The image's width in pixels.
        width: u32,
        /// The image's height in pixels.
        height: u32,
    },
    /// The recipe resizes nothing and the image has another size.
    #[error("image is {width}×{height} where the model takes {}×{}; set resize = \"stretch\" in the recipe", size[0], size[1])]
    Size {
        /// Width of the image, or of its region, in pixels.
        width: u32,
        /// Height of the image, or of its region, in pixels.
        height: u32,
        /// The recipe's size.
        size: [u32; 2],
    },
    /// A centre crop of a very long image would need a huge intermediate one.
    #[error("image of {width}×{height} is too long for a centre crop; set a roi or resize = \"stretch\"")]
    Aspect {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The frame was decoded smaller than the recipe allows.
    #[error("image was decoded at 1/{by} where the recipe allows 1/{most}; decode it by the recipe")]
    Reduced {
        /// By how much it is smaller than its file.
        by: u32,
        /// By how much it may be.
        most: u32,
    },
    /// The resampling library refused.
    #[error("image cannot be resized ({reason}); check roi and size of the recipe")]
    Resize {
        /// The library's words.
        reason: String,
    },
}

/// A tensor's elements, in the order of the recipe's layout.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Bytes.
    U8(Vec<u8>),
}

/// Turns frames into tensors. Its buffers are reused: with frames of one size it allocates nothing per frame,
/// except for the resampling library's weight tables (some kilobytes) where it resizes.
pub struct Preprocess {
    recipe: Recipe,
    resampler: Resampler,
    /// Per channel of the tensor, what each byte becomes.
    tables: Vec<[f32; 256]>,
    pixels: Pixels,
}

/// An RGB8 picture, the place of its first wanted pixel, and where that goes in the tensor.
struct Placed<'a> {
    rgb: &'a [u8],
    stride: usize,
    from: [usize; 2],
    to: [usize; 2],
    extent: [usize; 2],
}

impl Preprocess {
    /// Prepares the buffers.
    pub fn new(recipe: &Recipe) -> Self {
        let tables = recipe
            .mean()
            .iter()
            .zip(recipe.std())
            .map(|(&mean, &std)| table(recipe.scale(), mean as f32, std as f32))
            .collect();
        let elements = recipe.shape().iter().product();
        let pixels = match recipe.dtype() {
            Dtype::F32 => Pixels::F32(vec![0.0; elements]),
            Dtype::Uint8 => Pixels::U8(vec![0; elements]),
        };
        Self { recipe: recipe.clone(), resampler: Resampler::new(recipe.filter()), tables, pixels }
    }

    /// The recipe it follows.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The tensor's shape in the order of its layout, batch 1.
    pub fn shape(&self) -> [usize; 4] {
        self.recipe.shape()
    }

    /// The tensor of one frame; it stays valid until the next call.
    ///
    /// # Errors
    /// A region outside the frame, a frame of another size where the recipe does not resize, an extreme aspect.
    pub fn run(&mut self, frame: &Frame) -> Result<&Pixels, PreprocessError> {
        let by = frame.reduction();
        // Geometry is that of the source, so that a reduced image shows the same region at the same place.
        let source = region(&self.recipe, frame)?;
        let roi = source.reduced(by);
        let [width, height] = self.recipe.size();
        let scaled = scaled_size(&self.recipe, source)?;
        if let Resize::Letterbox(fill) = self.recipe.resize()
            && scaled != [width, height]
        {
            fill_ground(&mut self.pixels, &self.recipe, &self.tables, fill);
        }
        let [from_x, to_x, columns] = place(scaled[0], width);
        let [from_y, to_y, rows] = place(scaled[1], height);
        let (rgb, stride, origin) = if scaled == [roi.width, roi.height] {
            (frame.rgb(), frame.width() as usize, [roi.x as usize, roi.y as usize])
        } else {
            (self.resampler.run(frame, roi, scaled[0], scaled[1])?, scaled[0] as usize, [0, 0])
        };
        let placed = Placed {
            rgb,
            stride,
            from: [origin[0] + from_x, origin[1] + from_y],
            to: [to_x, to_y],
            extent: [columns, rows],
        };
        match &mut self.pixels {
            Pixels::F32(out) => {
                let tables: [&[f32; 256]; 3] = std::array::from_fn(|i| &self.tables[i.min(self.tables.len() - 1)]);
                write(&self.recipe, &placed, out, |channel, byte| tables[channel][usize::from(byte)]);
            }
            Pixels::U8(out) => write(&self.recipe, &placed, out, |_, byte| byte),
        }
        Ok(&self.pixels)
    }
}

/// `(v·scale − mean) / std` for every byte: the product rounded once to f32, the rest in f32 as `PyTorch` does.
fn table(scale: f64, mean: f32, std: f32) -> [f32; 256] {
    std::array::from_fn(|byte| ((byte as f64 * scale) as f32 - mean) / std)
}

/// The region in the pixels of the frame's source.
fn region(recipe: &Recipe, frame: &Frame) -> Result<Roi, PreprocessError> {
    let [width, height] = [frame.width(), frame.height()].map(|side| side.saturating_mul(frame.reduction()));
    let most = recipe.reduction(width, height);
    if frame.reduction() > most {
        return Err(PreprocessError::Reduced { by: frame.reduction(), most });
    }
    let roi = recipe.roi().unwrap_or(Roi { x: 0, y: 0, width, height });
    let inside = roi.x.checked_add(roi.width).is_some_and(|right| right <= width)
        && roi.y.checked_add(roi.height).is_some_and(|bottom| bottom <= height);
    if inside { Ok(roi) } else { Err(PreprocessError::Roi { roi: roi.into(), width, height }) }
}

/// The size of the region after resizing, before cropping or padding.
pub(super) fn scaled_size(recipe: &Recipe, roi: Roi) -> Result<[u32; 2], PreprocessError> {
    let [width, height] = recipe.size();
    match recipe.resize() {
        Resize::None if [roi.width, roi.height] != [width, height] => {
            Err(PreprocessError::Size { width: roi.width, height: roi.height, size: [width, height] })
        }
        Resize::None | Resize::Stretch => Ok([width, height]),
        Resize::ShorterSide(side) => {
            let (short, long) = (roi.width.min(roi.height), roi.width.max(roi.height));
            let scaled = u64::from(long) * u64::from(side) / u64::from(short);
            if scaled > MAX_RESIZED_SIDE {
                return Err(PreprocessError::Aspect { width: roi.width, height: roi.height });
            }
            let scaled = scaled as u32;
            Ok(if roi.width <= roi.height { [side, scaled] } else { [scaled, side] })
        }
        Resize::Letterbox(_) => {
            let ratio = (f64::from(width) / f64::from(roi.width)).min(f64::from(height) / f64::from(roi.height));
            let fit = |source: u32, most: u32| ((f64::from(source) * ratio).round() as u32).clamp(1, most);
            Ok([fit(roi.width, width), fit(roi.height, height)])
        }
    }
}

/// Along one axis: first source pixel, first target pixel, count. A crop starts at the half difference rounded to
/// even (Python's `round`, as torchvision's centre crop), a pad at the half difference rounded down.
fn place(scaled: u32, size: u32) -> [usize; 3] {
    let (scaled, size) = (scaled as usize, size as usize);
    if scaled >= size {
        let twice = scaled - size;
        let half = twice / 2;
        let start = if twice % 2 == 1 && half % 2 == 1 { half + 1 } else { half };
        [start, 0, size]
    } else {
        [0, (size - scaled) / 2, scaled]
    }
}

fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000;
    (sum >> 16) as u8
}

fn fill_ground(pixels: &mut Pixels, recipe: &Recipe, tables: &[[f32; 256]], fill: [u8; 3]) {
    let count = recipe.channels().count();
    let bytes = ordered(recipe.channels(), fill);
    match pixels {
        Pixels::F32(out) => {
            let values = std::array::from_fn(|channel| tables[channel.min(count - 1)][usize::from(bytes[channel])]);
            fill_channels(recipe, out, values);
        }
        Pixels::U8(out) => fill_channels(recipe, out, bytes),
    }
}

/// Every place of a channel gets its value.
fn fill_channels<T: Copy>(recipe: &Recipe, out: &mut [T], values: [T; 3]) {
    let count = recipe.channels().count();
    match recipe.layout() {
        Layout::Nchw => {
            let plane = out.len() / count;
            out.chunks_exact_mut(plane).zip(values).for_each(|(plane, value)| plane.fill(value));
        }
        Layout::Nhwc => out.chunks_exact_mut(count).for_each(|pixel| pixel.copy_from_slice(&values[..count])),
    }
}

/// A pixel's channels in the order of the tensor; a single one stands first.
fn ordered(channels: Channels, [red, green, blue]: [u8; 3]) -> [u8; 3] {
    match channels {
        Channels::Rgb => [red, green, blue],
        Channels::Bgr => [blue, green, red],
        Channels::Grey => [luma(red, green, blue); 3],
    }
}

/// Writes the placed rectangle into the tensor, each byte through `value(channel, byte)`.
fn write<T: Copy>(recipe: &Recipe, placed: &Placed<'_>, out: &mut [T], value: impl Fn(usize, u8) -> T) {
    // A loop for each order, so that none is chosen pixel by pixel.
    match recipe.channels() {
        channels @ Channels::Rgb => write_rows(recipe, placed, out, |rgb| ordered(channels, rgb), value),
        channels @ Channels::Bgr => write_rows(recipe, placed, out, |rgb| ordered(channels, rgb), value),
        channels @ Channels::Grey => write_rows(recipe, placed, out, |rgb| ordered(channels, rgb), value),
    }
}

fn write_rows<T: Copy>(
    recipe: &Recipe,
    placed: &Placed<'_>,
    out: &mut [T],
    bytes: impl Fn([u8; 3]) -> [u8; 3],
    value: impl Fn(usize, u8) -> T,
) {
    let [width, height] = recipe.size().map(|side| side as usize);
    let [columns, rows] = placed.extent;
    for row in 0..rows {
        let start = ((placed.from[1] + row) * placed.stride + placed.from[0]) * 3;
        let pixels = placed.rgb[start..start + columns * 3].as_chunks::<3>().0.iter().map(|&rgb| bytes(rgb));
        let first = (placed.to[1] + row) * width + placed.to[0];
        match (recipe.layout(), recipe.channels().count()) {
            (_, 1) => {
                let places = &mut out[first..first + columns];
                places.iter_mut().zip(pixels).for_each(|(place, [grey, ..])| *place = value(0, grey));
            }
            (Layout::Nchw, _) => {
                let (a, rest) = out.split_at_mut(width * height);
                let (b, c) = rest.split_at_mut(width * height);
                let [a, b, c] = [a, b, c].map(|plane| plane[first..first + columns].iter_mut());
                for (((a, b), c), bytes) in a.zip(b).zip(c).zip(pixels) {
                    (*a, *b, *c) = (value(0, bytes[0]), value(1, bytes[1]), value(2, bytes[2]));
                }
            }
            (Layout::Nhwc, _) => {
                let places = out[first * 3..(first + columns) * 3].as_chunks_mut::<3>().0;
                for (place, bytes) in places.iter_mut().zip(pixels) {
                    *place = [value(0, bytes[0]), value(1, bytes[1]), value(2, bytes[2])];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{luma, place, table};

    #[test]
    fn bytes_over_255_are_exact() {
        for (byte, value) in table(1.0 / 255.0, 0.0, 1.0).into_iter().enumerate() {
            assert_eq!(value.to_bits(), (byte as f32 / 255.0).to_bits(), "{byte}");
        }
    }

    #[test]
    fn centre_is_rounded_to_even_as_in_python() {
        // round(0.5) = 0, round(1.5) = 2, round(2.5) = 2, round(3.5) = 4
        assert_eq!([11, 13, 15, 17].map(|scaled| place(scaled, 10)[0]), [0, 2, 2, 4]);
        assert_eq!(place(7, 10), [0, 1, 7]);
        assert_eq!(place(10, 10), [0, 0, 10]);
    }

    #[test]
    fn luma_ends() {
        assert_eq!((luma(0, 0, 0), luma(255, 255, 255), luma(255, 0, 0)), (0, 255, 76));
    }
}
