//! The original bytes of an image with what is needed to read them again, and the `.raw` file around bare pixels.
//! Refuses a `.raw` file whose head does not agree with its length.

use std::fmt::Write;

use jiff::Timestamp;

use super::error::JournalError;
use crate::capture::{Capture, Moment, PixelFormat};

const MAGIC: &str = "shelfwatch raw 1";
const FORMATS: [PixelFormat; 5] =
    [PixelFormat::File, PixelFormat::Yuyv, PixelFormat::Grey, PixelFormat::Rgb24, PixelFormat::Nv12];

/// An image as it was captured, and the part of it that was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// How to read `bytes`.
    pub format: PixelFormat,
    /// Pixels a row; 0 for a file.
    pub width: u32,
    /// Rows; 0 for a file.
    pub height: u32,
    /// Bytes from one row to the next; 0 for a file.
    pub stride: u32,
    /// Left, top, width and height of the part that was judged, in pixels; `None` for all of it.
    pub roi: Option<[u32; 4]>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Original {
    /// Takes the bytes out of a capture, which is left without them.
    pub fn taken_from(capture: &mut Capture, roi: Option<[u32; 4]>) -> Self {
        let bytes = std::mem::take(&mut capture.bytes);
        let Capture { format, width, height, stride, .. } = *capture;
        Self { format, width, height, stride, roi, bytes }
    }

    /// As a capture of that time, to be decoded like one that comes from a camera.
    pub fn into_capture(self, taken: Timestamp) -> Capture {
        let taken = Moment { monotonic: std::time::Duration::ZERO, wall: taken };
        let Self { format, width, height, stride, bytes, .. } = self;
        Capture { format, width, height, stride, bytes, taken, trigger: None, file: None }
    }

    /// The extension of its file, by content.
    pub fn extension(&self) -> &'static str {
        match (self.format, self.bytes.as_slice()) {
            (PixelFormat::File, [0xff, 0xd8, ..]) => "jpg",
            (PixelFormat::File, [0x89, b'P', b'N', b'G', ..]) => "png",
            (PixelFormat::File, [b'B', b'M', ..]) => "bmp",
            (PixelFormat::File, [b'P', b'1'..=b'7', ..]) => "pnm",
            (PixelFormat::File, [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..]) => "tif",
            (PixelFormat::File, [b'R', b'I', b'F', b'F', ..]) => "webp",
            (PixelFormat::File, _) => "image",
            _ => "raw",
        }
    }

    /// What stands before the bytes in the file: nothing, but for bare pixels the head that names their shape.
    pub(super) fn head(&self) -> String {
        let mut head = String::new();
        if self.format != PixelFormat::File {
            let Self { width, height, stride, .. } = self;
            let (format, bytes) = (self.format.name(), self.bytes.len());
            // Writing to a string cannot fail.
            let _ = write!(
                head,
                "{MAGIC}\nformat {format}\nwidth {width}\nheight {height}\nstride {stride}\nbytes {bytes}\n\n"
            );
        }
        head
    }

    /// Reads a stored file back.
    pub(super) fn from_file(name: &str, bytes: Vec<u8>, roi: Option<[u32; 4]>) -> Result<Self, JournalError> {
        if !bytes.starts_with(MAGIC.as_bytes()) {
            return Ok(Self { roi, bytes, ..Self::default() });
        }
        let damaged = |reason: &str| JournalError::Damaged { what: format!("image {name}"), reason: reason.to_owned() };
        let end =
            bytes.windows(2).take(256).position(|pair| pair == b"\n\n").ok_or_else(|| damaged("no end of head"))?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged("head is no text"))?;
        let value = |key: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            line.ok_or_else(|| damaged(&format!("head has no {key}")))
        };
        let number = |key: &str| value(key)?.parse::<u32>().map_err(|_| damaged(&format!("{key} is no number")));
        let format = value("format")?;
        let format = FORMATS.into_iter().find(|known| known.name() == format);
        let format = format.ok_or_else(|| damaged("unknown format"))?;
        let (width, height, stride) = (number("width")?, number("height")?, number("stride")?);
        let pixels = bytes[end + 2..].to_vec();
        if pixels.len() != number("bytes")? as usize {
            return Err(damaged("it is cut short or too long"));
        }
        Ok(Self { format, width, height, stride, roi, bytes: pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_pixels_come_back_with_their_shape_and_damage_is_refused() {
        let roi = Some([1, 2, 3, 4]);
        let image = Original {
            format: PixelFormat::Yuyv,
            width: 4,
            height: 2,
            stride: 8,
            roi,
            bytes: (0..16).chain(*b"\n\n").collect(),
        };
        let mut file = image.head().into_bytes();
        file.extend(&image.bytes);
        assert_eq!(Original::from_file("a.raw", file.clone(), roi).unwrap(), image);
        for cut in [0, 1, 17, 40, file.len() - 1] {
            let got = Original::from_file("a.raw", file[..cut].to_vec(), roi);
            assert!(cut < 16 || got.is_err(), "{cut}");
        }
        let jpeg = Original { bytes: vec![0xff, 0xd8, 0xff], ..Original::default() };
        assert_eq!((jpeg.extension(), jpeg.head().as_str(), image.extension()), ("jpg", "", "raw"));
    }
}
