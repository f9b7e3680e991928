//! A signed map of how strange each place is, laid over the image on a fixed scale.
//! The scale comes from calibration: a map is never stretched to its own extremes.

use thiserror::Error;

use crate::frame::{Frame, FrameError};

/// Why an overlay could not be drawn.
#[derive(Debug, Error)]
pub enum HeatMapError {
    /// The values are not height × width.
    #[error("heat map has {found} values, expected {height} × {width}; pass the map as the shelf gives it")]
    Shape {
        /// Values given.
        found: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The scale is not a positive number.
    #[error("heat map scale is {0}, not a positive number; take it from the calibration images")]
    Scale(f32),
    /// The picture could not be made.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// The map `a_ij`: its mean over the map is the squared residual; positive is strange, negative more than familiar.
#[derive(Clone, Copy, Debug)]
pub struct HeatMap<'a> {
    /// Row-major, `height × width`.
    pub values: &'a [f32],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The part of the frame that the backbone saw, in pixels of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl Seen {
    /// All of it.
    pub fn whole(frame: &Frame) -> Self {
        Self { x: 0.0, y: 0.0, width: frame.width() as f32, height: frame.height() as f32 }
    }
}

/// Strongest cover of the image by the colours.
const MOST_COVER: f32 = 0.85;
/// Colours for strange places at 0, ¼, ½, ¾ and 1 of the scale: lightness rises evenly, so that a grey image
/// keeps its own shading below and a colour-blind eye sees the same order.
const STRANGE: [[f32; 3]; 5] =
    [[87.0, 16.0, 110.0], [158.0, 40.0, 100.0], [212.0, 72.0, 66.0], [245.0, 125.0, 21.0], [250.0, 205.0, 60.0]];
/// Colour for places more familiar than the mean.
const FAMILIAR: [f32; 3] = [40.0, 110.0, 200.0];
/// Cover of the familiar colour relative to the strange ones.
const FAMILIAR_COVER: f32 = 0.35;

/// A frame with its map over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// The picture.
    pub frame: Frame,
    /// Cell of the largest value as a box in the frame's pixels: left, top, width, height.
    pub peak: [f32; 4],
}

/// The frame with the map over the part that the backbone `seen`, bilinear between the centres of its cells. A
/// value of `scale` or more gets the full colour, zero none; what is not a number counts as zero.
///
/// # Errors
/// When the map's shape or the scale is wrong.
pub fn overlay(frame: &Frame, map: &HeatMap<'_>, seen: Seen, scale: f32) -> Result<Overlay, HeatMapError> {
    let (height, width) = (map.height, map.width);
    if map.values.is_empty() || height.checked_mul(width) != Some(map.values.len()) {
        return Err(HeatMapError::Shape { found: map.values.len(), height, width });
    }
    if !(scale.is_finite() && scale > 0.0) {
        return Err(HeatMapError::Scale(scale));
    }
    let columns = Lookup::along(frame.width(), seen.x, seen.width, width);
    let rows = Lookup::along(frame.height(), seen.y, seen.height, height);
    let cell = |row: usize, column: usize| {
        let value = map.values.get(row * width + column).copied().unwrap_or(0.0) / scale;
        if value.is_nan() { 0.0 } else { value.clamp(-1.0, 1.0) }
    };
    let mut rgb = frame.rgb().to_vec();
    let mut pixels = rgb.chunks_exact_mut(3);
    for row in &rows {
        for column in &columns {
            let Some(pixel) = pixels.next() else { break };
            let (Some(row), Some(column)) = (row, column) else { continue };
            let top = mix(cell(row.low, column.low), cell(row.low, column.high), column.share);
            let bottom = mix(cell(row.high, column.low), cell(row.high, column.high), column.share);
            let (colour, cover) = paint(mix(top, bottom, row.share));
            for (value, colour) in pixel.iter_mut().zip(colour) {
                *value = (mix(f32::from(*value), colour, cover) + 0.5) as u8;
            }
        }
    }
    Ok(Overlay { frame: Frame::new(frame.width(), frame.height(), rgb)?, peak: peak(map, seen) })
}

fn peak(map: &HeatMap<'_>, seen: Seen) -> [f32; 4] {
    let hottest = map.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
    let (width, height) = (seen.width / map.width as f32, seen.height / map.height as f32);
    let (column, row) = (hottest % map.width, hottest / map.width);
    [seen.x + column as f32 * width, seen.y + row as f32 * height, width, height]
}

/// Colour and cover of a value in [−1, 1].
fn paint(value: f32) -> ([f32; 3], f32) {
    if value < 0.0 {
        return (FAMILIAR, -value * FAMILIAR_COVER);
    }
    let place = value * (STRANGE.len() - 1) as f32;
    let low = (place as usize).min(STRANGE.len() - 2);
    let [a, b] = [STRANGE[low], STRANGE[low + 1]];
    let share = place - low as f32;
    ([mix(a[0], b[0], share), mix(a[1], b[1], share), mix(a[2], b[2], share)], value.sqrt() * MOST_COVER)
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Between which cells a pixel lies, and how far from the first to the second.
struct Lookup {
    low: usize,
    high: usize,
    share: f32,
}

impl Lookup {
    /// For each pixel of a side; `None` outside the part seen.
    fn along(pixels: u32, start: f32, length: f32, cells: usize) -> Vec<Option<Self>> {
        let one = |pixel: u32| {
            let inside = (pixel as f32 + 0.5 - start) / length;
            if !(0.0..=1.0).contains(&inside) {
                return None;
            }
            let place = (inside * cells as f32 - 0.5).clamp(0.0, (cells - 1) as f32);
            let low = place as usize;
            Some(Self { low, high: (low + 1).min(cells - 1), share: place - low as f32 })
        };
        (0..pixels).map(one).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32) -> Frame {
        Frame::new(width, height, vec![128; width as usize * height as usize * 3]).unwrap()
    }

    fn draw(values: &[f32], height: usize, width: usize, scale: f32) -> Frame {
        let frame = grey(8, 8);
        overlay(&frame, &HeatMap { values, height, width }, Seen::whole(&frame), scale).unwrap().frame
    }

    #[test]
    fn zero_and_nan_leave_the_image_alone() {
        assert_eq!(draw(&[0.0, f32::NAN, 0.0, 0.0], 2, 2, 1.0), grey(8, 8));
    }

    #[test]
    fn the_scale_is_the_callers() {
        // The same map on a scale a thousand times wider is nearly invisible; beyond the scale nothing changes.
        let strong = draw(&[1.0; 4], 2, 2, 1.0);
        let weak = draw(&[1.0; 4], 2, 2, 1000.0);
        let shift = |frame: &Frame| frame.rgb().iter().map(|&v| u32::from(v.abs_diff(128))).max().unwrap();
        assert!(shift(&strong) > 60 && shift(&weak) < 5, "{} {}", shift(&strong), shift(&weak));
        assert_eq!(draw(&[5.0; 4], 2, 2, 1.0), strong);
        assert_eq!(draw(&[f32::INFINITY; 4], 2, 2, 1.0), strong);
    }

    #[test]
    fn strange_places_are_where_the_map_says() {
        let frame = draw(&[0.0, 0.0, 0.0, 1.0], 2, 2, 1.0);
        let red = |x: usize, y: usize| frame.rgb()[(y * 8 + x) * 3];
        assert_eq!(red(0, 0), 128);
        assert!(red(7, 7) > 200 && red(7, 7) > red(5, 5));
        let map = HeatMap { values: &[0.0, f32::MIN, 2.0, 1.0], height: 2, width: 2 };
        assert_eq!(overlay(&frame, &map, Seen::whole(&frame), 1.0).unwrap().peak, [0.0, 4.0, 4.0, 4.0]);
    }

    #[test]
    fn outside_of_what_was_seen_nothing_is_painted() {
        let frame = grey(8, 8);
        let seen = Seen { x: 2.0, y: 2.0, width: 4.0, height: 4.0 };
        let map = HeatMap { values: &[1.0], height: 1, width: 1 };
        let drawn = overlay(&frame, &map, seen, 1.0).unwrap();
        assert_eq!(drawn.peak, [2.0, 2.0, 4.0, 4.0]);
        let changed = drawn.frame.rgb().chunks(3).filter(|pixel| *pixel != [128; 3]).count();
        assert_eq!(changed, 16);
    }

    #[test]
    fn wrong_shape_and_scale_are_named() {
        let frame = grey(2, 2);
        let map = |values, height, width| HeatMap { values, height, width };
        let whole = Seen::whole(&frame);
        for bad in [map(&[1.0; 3], 2, 2), map(&[], 0, 0), map(&[1.0], usize::MAX, 2)] {
            assert!(matches!(overlay(&frame, &bad, whole, 1.0), Err(HeatMapError::Shape { .. })));
        }
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let found = overlay(&frame, &map(&[1.0], 1, 1), whole, scale);
            assert!(matches!(found, Err(HeatMapError::Scale(_))));
        }
        let none = Seen { x: f32::NAN, y: 0.0, width: 0.0, height: 2.0 };
        assert_eq!(overlay(&frame, &map(&[1.0], 1, 1), none, 1.0).unwrap().frame, frame);
    }
}
