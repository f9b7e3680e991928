//! An image in memory: 8-bit RGB, row by row. Refuses images without pixels and buffers of the wrong length.

use std::fmt;

use thiserror::Error;

/// Why a buffer is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Width or height is zero.
    #[error("image has no pixels ({width}×{height}); give a width and a height of at least 1")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The buffer does not hold `width × height × 3` bytes.
    #[error("a {width}×{height} RGB image needs {expected} bytes, the buffer has {found}; pass 3 bytes per pixel")]
    Length {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes needed.
        expected: u128,
        /// Bytes given.
        found: usize,
    },
}

/// An RGB image, 8 bits per channel, row-major without padding. It has at least one pixel.
///
/// ```
/// use shelfwatch::frame::Frame;
/// let frame = Frame::new(2, 1, vec![255, 0, 0, 0, 0, 255]).unwrap();
/// assert_eq!((frame.width(), frame.height()), (2, 1));
/// assert!(Frame::new(2, 2, vec![0; 3]).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    reduction: u32,
}

impl Frame {
    /// Takes over `width × height × 3` bytes, red first, top row first.
    ///
    /// # Errors
    /// A side of zero, or a buffer of another length.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::Empty { width, height });
        }
        let expected = u128::from(width) * u128::from(height) * 3;
        if rgb.len() as u128 != expected {
            return Err(FrameError::Length { width, height, expected, found: rgb.len() });
        }
        Ok(Self { width, height, rgb, reduction: 1 })
    }

    /// Says that each pixel stands for `reduction × reduction` pixels of the source, whose sides are multiples of it.
    #[must_use]
    pub fn reduced_by(self, reduction: u32) -> Self {
        Self { reduction: reduction.max(1), ..self }
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How many pixels of the source a pixel stands for along each side: 1, or 2, 4, 8 of a JPEG that was decoded at
    /// reduced scale.
    pub fn reduction(&self) -> u32 {
        self.reduction
    }

    /// The pixels: `width × height × 3` bytes, row-major, red first.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Gives the buffer back, so that a source of images can fill it again.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{Frame, FrameError};

    #[test]
    fn refuses_empty_and_mismatched() {
        assert_eq!(Frame::new(0, 3, vec![]), Err(FrameError::Empty { width: 0, height: 3 }));
        let error = Frame::new(u32::MAX, u32::MAX, vec![0; 3]).unwrap_err();
        assert!(error.to_string().contains("3 bytes per pixel"), "{error}");
        assert_eq!(Frame::new(1, 1, vec![1, 2, 3]).unwrap().into_rgb(), [1, 2, 3]);
    }
}
