//! From bytes to the frame that a recipe wants: the one door for fit, evaluation and device, so that a JPEG is decoded
//! at the same scale in all of them. Refuses what the decoders refuse.

use std::path::Path;

use crate::camera::{self, CameraError};
use crate::capture::Capture;
use crate::frame::Frame;
use crate::image_file::{self, ImageError};
use crate::preprocess::Recipe;

/// Decodes an image file in memory.
///
/// # Errors
/// As [`image_file::decode`].
pub fn file(bytes: &[u8], recipe: &Recipe) -> Result<Frame, ImageError> {
    image_file::decode_reduced(bytes, &|width, height| recipe.reduction(width, height))
}

/// Reads and decodes an image file; errors name it.
///
/// # Errors
/// As [`image_file::read`].
pub fn path(path: &Path, recipe: &Recipe) -> Result<Frame, ImageError> {
    image_file::read_reduced(path, &|width, height| recipe.reduction(width, height))
}

/// Decodes what a source delivered, or the region `roi` of it; `reuse` is the buffer of an earlier frame.
///
/// # Errors
/// As [`camera::decode`].
pub fn capture(
    capture: &Capture,
    roi: Option<[u32; 4]>,
    recipe: &Recipe,
    reuse: Vec<u8>,
) -> Result<Frame, CameraError> {
    camera::decode_reduced(capture, roi, &|width, height| recipe.reduction(width, height), reuse)
}
