//! Pictures of another size for the report: thumbnails and tiles.
//! For looking at only; what the backbone sees is resized by the recipe.

use crate::frame::{Frame, FrameError};

/// The frame at `width` × `height`, each pixel the mean of the area it covers.
///
/// # Errors
/// When a side is zero.
pub(super) fn resample(frame: &Frame, width: u32, height: u32) -> Result<Frame, FrameError> {
    let across = spans(frame.width(), width);
    let down = spans(frame.height(), height);
    let stride = frame.width() as usize * 3;
    let mut row = vec![0.0_f32; stride];
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for span in &down {
        row.fill(0.0);
        for (y, weight) in span.weights() {
            let source = frame.rgb().get(y * stride..(y + 1) * stride).unwrap_or_default();
            for (sum, &value) in row.iter_mut().zip(source) {
                *sum += weight * f32::from(value);
            }
        }
        for span in &across {
            let mut pixel = [0.5_f32; 3];
            for (x, weight) in span.weights() {
                for (sum, value) in pixel.iter_mut().zip(row.iter().skip(x * 3)) {
                    *sum += weight * value;
                }
            }
            rgb.extend(pixel.map(|value| value as u8));
        }
    }
    Frame::new(width, height, rgb)
}

/// The frame no larger than `side` in either direction, with its aspect; small frames stay as they are.
///
/// # Errors
/// Never for a `side` above zero.
pub fn thumbnail(frame: &Frame, side: u32) -> Result<Frame, FrameError> {
    let (width, height) = fit(frame, side.min(frame.width().max(frame.height())));
    resample(frame, width, height)
}

/// Width and height with the frame's aspect and `side` as the longer one.
pub(super) fn fit(frame: &Frame, side: u32) -> (u32, u32) {
    let longer = u64::from(frame.width().max(frame.height()));
    let scaled = |length: u32| ((u64::from(length) * u64::from(side) + longer / 2) / longer).max(1) as u32;
    (scaled(frame.width()), scaled(frame.height()))
}

/// A stretch of source pixels, its ends in pixels.
struct Span {
    start: f32,
    end: f32,
    last: usize,
}

impl Span {
    /// Source pixels with their shares; the shares sum to one.
    fn weights(&self) -> impl Iterator<Item = (usize, f32)> {
        let first = (self.start as usize).min(self.last);
        let last = ((self.end.ceil() as usize).max(first + 1) - 1).min(self.last);
        let whole = self.end - self.start;
        (first..=last).map(move |i| {
            let covered = self.end.min((i + 1) as f32) - self.start.max(i as f32);
            (i, if first == last { 1.0 } else { covered / whole })
        })
    }
}

fn spans(source: u32, target: u32) -> Vec<Span> {
    let edge = |i: u32| (f64::from(i) * f64::from(source) / f64::from(target)) as f32;
    let last = source as usize - 1;
    (0..target).map(|i| Span { start: edge(i), end: edge(i + 1), last }).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, values: &[u8]) -> Frame {
        Frame::new(width, height, values.iter().flat_map(|&v| [v; 3]).collect()).unwrap()
    }

    #[test]
    fn halving_averages_four_pixels() {
        let small = resample(&grey(2, 2, &[0, 100, 100, 200]), 1, 1).unwrap();
        assert_eq!(small.rgb(), [100; 3]);
    }

    #[test]
    fn enlarging_repeats_and_odd_sizes_keep_flat_areas_flat() {
        let large = resample(&grey(2, 1, &[10, 250]), 4, 2).unwrap();
        assert_eq!(large.rgb(), grey(4, 2, &[10, 10, 250, 250, 10, 10, 250, 250]).rgb());
        let flat = resample(&grey(7, 5, &[77; 35]), 3, 4).unwrap();
        assert!(flat.rgb().iter().all(|&v| v == 77));
    }

    #[test]
    fn thumbnails_keep_the_aspect_and_never_grow() {
        let wide = thumbnail(&grey(400, 2, &[1; 800]), 100).unwrap();
        assert_eq!((wide.width(), wide.height()), (100, 1));
        let small = thumbnail(&grey(3, 2, &[1; 6]), 100).unwrap();
        assert_eq!((small.width(), small.height()), (3, 2));
    }
}
