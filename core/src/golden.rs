//! Golden images: files with the score that a device must reproduce before it may judge anything.

use crate::layout::{f32_at, u32_at};

/// Bytes before an image: its length and its score.
const HEAD: usize = 8;

/// The golden images of a shelf.
#[derive(Clone, Copy, Debug, Default)]
pub struct Golden<'a> {
    bytes: &'a [u8],
}

/// One golden image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GoldenImage<'a> {
    /// The image file, as it was when the shelf was fitted.
    pub file: &'a [u8],
    /// The score it had then.
    pub score: f32,
}

impl<'a> Golden<'a> {
    /// A view of the images; `None` where the lengths do not fit the bytes.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (image, after) = split(rest)?;
            if !image.score.is_finite() {
                return None;
            }
            rest = after;
        }
        Some(Self { bytes })
    }

    /// The images in order.
    pub fn iter(&self) -> impl Iterator<Item = GoldenImage<'a>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (image, after) = split(rest)?;
            rest = after;
            Some(image)
        })
    }
}

fn split(bytes: &[u8]) -> Option<(GoldenImage<'_>, &[u8])> {
    if bytes.len() < HEAD {
        return None;
    }
    let (length, score) = (u32_at(bytes, 0) as usize, f32_at(bytes, 4));
    let padded = length.checked_next_multiple_of(4)?;
    let (body, after) = bytes[HEAD..].split_at_checked(padded)?;
    Some((GoldenImage { file: &body[..length], score }, after))
}
