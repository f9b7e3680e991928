//! JPEG to pixels, with the very bytes that libjpeg-turbo gives: a classifier was trained on those.
//! Refuses files that stop before their end or whose data is damaged, because decoders fill the rest with grey,
//! and a half-grey picture must not be judged as a part.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{ColorSpace, Decoder, Image, JpegError, PixelFormat, ScalingFactor};

use super::{ImageError, MAX_ALLOCATION, MAX_SIDE, whole_reduction};

/// Most passes over the picture of a progressive file; each costs time, encoders use about ten.
const MAX_SCANS: u32 = 100;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

const FORMAT: &str = "JPEG";

/// A picture as stored, and the orientation that its EXIF data asks for.
type Stored = (DynamicImage, Orientation);

/// The picture, and by how much it is smaller than the file's: `reduction` is asked with the upright sides.
pub(super) fn decode(bytes: &[u8], reduction: &dyn Fn(u32, u32) -> u32) -> Result<(Stored, u32), ImageError> {
    check_complete(bytes)?;
    let mut decoder = Decoder::new(bytes).map_err(explain)?;
    let (width, height) = (u32::from(decoder.header().width), u32::from(decoder.header().height));
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) * 6 > MAX_ALLOCATION {
        return Err(ImageError::TooLarge { what: format!("{width}×{height} pixels") });
    }
    decoder.set_max_memory(MAX_ALLOCATION as usize);
    decoder.set_scan_limit(MAX_SCANS);
    decoder.set_stop_on_warning(true);
    let orientation = decoder.exif_orientation().and_then(Orientation::from_exif);
    let grey = decoder.jpeg_color_space() == ColorSpace::Grayscale;
    if !matches!(decoder.jpeg_color_space(), ColorSpace::Grayscale | ColorSpace::YCbCr | ColorSpace::Rgb) {
        let reason = "colours for print (CMYK)".to_owned();
        return Err(ImageError::Unsupported { format: FORMAT, reason });
    }
    decoder.set_output_format(if grey { PixelFormat::Grayscale } else { PixelFormat::Rgb });
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let reduced = reduce(&mut decoder, orientation, reduction);
    let Image { width, height, data, .. } = decoder.decode_image().map_err(explain)?;
    let (width, height) = (width as u32, height as u32);
    let picture = if grey {
        GrayImage::from_raw(width, height, data).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
    };
    let picture = picture.ok_or_else(|| damaged("pixels are missing".to_owned()))?;
    Ok(((picture, orientation), reduced))
}

/// Sets the scale that `reduction` asks for, or the next at which both sides are whole; says which one it is.
fn reduce(decoder: &mut Decoder<'_>, orientation: Orientation, reduction: &dyn Fn(u32, u32) -> u32) -> u32 {
    let header = decoder.header();
    let (width, height) = (u32::from(header.width), u32::from(header.height));
    let turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let by = if turned { reduction(height, width) } else { reduction(width, height) };
    // The decoder takes lossless files and those of other depths at full scale only.
    if header.precision != 8 || header.is_lossless {
        return 1;
    }
    let by = whole_reduction(by, &[width, height]);
    ScalingFactor::try_new(1, by).map_or(1, |factor| {
        decoder.set_scale(factor);
        by
    })
}

fn damaged(reason: String) -> ImageError {
    ImageError::Damaged { format: FORMAT, reason }
}

fn explain(error: JpegError) -> ImageError {
    match error {
        JpegError::Unsupported(reason) => ImageError::Unsupported { format: FORMAT, reason },
        JpegError::LimitExceeded { .. } => ImageError::TooLarge { what: error.to_string() },
        JpegError::UnexpectedEof => ImageError::Truncated { format: FORMAT },
        other => damaged(other.to_string()),
    }
}

/// Walks the segments of the first image up to its end marker; what follows it (padding, a second image) is free.
fn check_complete(bytes: &[u8]) -> Result<(), ImageError> {
    let cut = ImageError::Truncated { format: FORMAT };
    let mut at = 2; // after the start marker, which told the format
    loop {
        let Some(marker) = next_marker(bytes, &mut at) else {
            return Err(cut);
        };
        match marker {
            END_OF_IMAGE => return Ok(()),
            // Markers without a segment: start of image, TEM, restarts.
            0x01 | 0xD0..=0xD8 => {}
            _ => {
                let Some(length) = bytes.get(at..at + 2) else {
                    return Err(cut);
                };
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                at += length.max(2);
                if at > bytes.len() {
                    return Err(cut);
                }
                if marker == START_OF_SCAN {
                    skip_scan(bytes, &mut at);
                }
            }
        }
    }
}

/// The next marker byte, skipping stray bytes between segments as decoders do; `at` ends behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let start = *at + bytes.get(*at..)?.iter().position(|&byte| byte == 0xFF)?;
        let run = bytes[start..].iter().take_while(|&&byte| byte == 0xFF).count();
        let code = *bytes.get(start + run)?;
        *at = start + run + 1;
        if code != 0 {
            return Some(code);
        }
    }
}

/// Moves to the marker that ends the entropy-coded data: `FF00` is data and `FFD0`–`FFD7` are restarts.
fn skip_scan(bytes: &[u8], at: &mut usize) {
    while let Some(next) = bytes.get(*at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
        *at += next;
        match bytes.get(*at + 1) {
            Some(0x00 | 0xD0..=0xD7 | 0xFF) => *at += 1,
            // Also where the file ends with half a marker, which the search for markers finds out.
            _ => return,
        }
    }
    *at = bytes.len();
}
