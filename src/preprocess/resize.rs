//! Resizing of a region without copying it first. The one file that knows the resampling library.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::recipe::{Filter, Roi};
use super::tensor::PreprocessError;
use crate::frame::Frame;

/// Most pixels of an intermediate picture: 384 MiB.
const MAX_PIXELS: u64 = 128 * 1024 * 1024;

/// Reused buffers of the resampling.
pub(super) struct Resampler {
    resizer: Resizer,
    options: ResizeOptions,
    /// Target width, source height.
    narrowed: Vec<u8>,
    pixels: Vec<u8>,
}

impl Resampler {
    pub(super) fn new(filter: Filter) -> Self {
        let algorithm = match filter {
            Filter::Nearest => ResizeAlg::Nearest,
            Filter::Box => ResizeAlg::Convolution(FilterType::Box),
            Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Filter::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        };
        let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
        Self { resizer: Resizer::new(), options, narrowed: Vec::new(), pixels: Vec::new() }
    }

    /// The region of the frame at `width × height`, RGB8. The filter sees nothing outside the region.
    ///
    /// Across first, then down, as Pillow does: the library alone would go down first, and since bytes are clipped
    /// in between, kernels with negative lobes then differ by several levels.
    pub(super) fn run(&mut self, frame: &Frame, roi: Roi, width: u32, height: u32) -> Result<&[u8], PreprocessError> {
        if u64::from(width) * u64::from(roi.height.max(height)) > MAX_PIXELS {
            let reason = format!("{}×{} to {width}×{height} needs too much memory", roi.width, roi.height);
            return Err(PreprocessError::Resize { reason });
        }
        self.narrowed.resize(width as usize * roi.height as usize * 3, 0);
        self.pixels.resize(width as usize * height as usize * 3, 0);
        let source = view(frame.width(), frame.height(), frame.rgb())?;
        let region = TypedCroppedImage::from_ref(&source, roi.x, roi.y, roi.width, roi.height)
            .map_err(|error| failed(&error))?;
        let mut across =
            TypedImage::<U8x3>::from_buffer(width, roi.height, &mut self.narrowed).map_err(|error| failed(&error))?;
        self.resizer.resize_typed(&region, &mut across, &self.options).map_err(|error| failed(&error))?;
        let across = view(width, roi.height, &self.narrowed)?;
        let mut down =
            TypedImage::<U8x3>::from_buffer(width, height, &mut self.pixels).map_err(|error| failed(&error))?;
        self.resizer.resize_typed(&across, &mut down, &self.options).map_err(|error| failed(&error))?;
        Ok(&self.pixels)
    }
}

fn view(width: u32, height: u32, rgb: &[u8]) -> Result<TypedImageRef<'_, U8x3>, PreprocessError> {
    TypedImageRef::from_buffer(width, height, rgb).map_err(|error| failed(&error))
}

fn failed(error: &impl ToString) -> PreprocessError {
    PreprocessError::Resize { reason: error.to_string() }
}
