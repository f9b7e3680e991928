//! Image files to frames and back: JPEG, PNG, BMP, TIFF, PNM, WebP, told apart by content, not by name.
//! Refuses what is empty, cut short, too large, or of another format; no input makes it panic.

mod jpeg;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use crate::frame::{Frame, FrameError};

/// Largest width or height that is decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most memory that one decoded image may take, in bytes, its source format's samples included.
pub const MAX_ALLOCATION: u64 = 512 * 1024 * 1024;
/// Largest file that is read, in bytes.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;

const FORMATS: [(ImageFormat, &str); 6] = [
    (ImageFormat::Jpeg, "JPEG"),
    (ImageFormat::Png, "PNG"),
    (ImageFormat::Bmp, "BMP"),
    (ImageFormat::Tiff, "TIFF"),
    (ImageFormat::Pnm, "PNM"),
    (ImageFormat::WebP, "WebP"),
];

const EXTENSIONS: [&str; 13] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "tif", "tiff", "ppm", "pgm", "pnm", "webp"];

/// Why bytes or a file did not become a frame.
#[derive(Debug, Error)]
pub enum ImageError {
    /// No bytes at all.
    #[error("image is empty (0 bytes); copy it again")]
    Empty,
    /// The first bytes are those of no format that is read here.
    #[error("content is no image that can be read; use JPEG, PNG, BMP, TIFF, PNM or WebP")]
    Format,
    /// The file ends before its image does.
    #[error("{format} image is cut short; copy it again")]
    Truncated {
        /// Name of the format.
        format: &'static str,
    },
    /// The decoder found something wrong.
    #[error("{format} image is damaged ({reason}); copy or export it again")]
    Damaged {
        /// Name of the format.
        format: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A correct file with a feature that is not read here.
    #[error("{format} image uses a feature that is not supported ({reason}); save it as 8-bit RGB PNG")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// Which feature.
        reason: String,
    },
    /// Beyond [`MAX_SIDE`], [`MAX_ALLOCATION`] or [`MAX_FILE`].
    #[error(
        "image is too large ({what}); the limits are {MAX_SIDE} pixels a side, 512 MiB decoded and 256 MiB on disk"
    )]
    TooLarge {
        /// What exceeds the limit.
        what: String,
    },
    /// The decoded pixels form no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The file could not be read.
    #[error("cannot read {}: {cause}; check that the file exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: io::Error,
    },
    /// The file was read but holds no usable image.
    #[error("{}: {cause}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        #[source]
        cause: Box<ImageError>,
    },
    /// A frame could not be written in a format.
    #[error("cannot write a {width}×{height} image as {format} ({reason}); use a smaller image or PNG")]
    Encode {
        /// Name of the format.
        format: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The encoder's words.
        reason: String,
    },
}

/// Whether the name ends like an image file's; nothing is opened.
pub fn is_image_name(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// Reads and decodes a file; errors name it.
///
/// # Errors
/// As [`decode`], and where the file cannot be read.
pub fn read(path: &Path) -> Result<Frame, ImageError> {
    read_reduced(path, &|_, _| 1)
}

/// As [`read`], of a JPEG no more than is needed: see [`decode_reduced`].
///
/// # Errors
/// As [`read`].
pub fn read_reduced(path: &Path, reduction: &dyn Fn(u32, u32) -> u32) -> Result<Frame, ImageError> {
    let unreadable = |cause| ImageError::Read { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    decode_reduced(&bytes, reduction)
        .map_err(|cause| ImageError::InFile { path: path.to_owned(), cause: Box::new(cause) })
}

/// Decodes the first image of a file in memory to RGB8, as the viewer of its EXIF orientation would see it.
/// Grey is replicated, alpha dropped, 16 bits become `round(v / 257)`, colour profiles are ignored.
///
/// # Errors
/// Empty, of no known format, cut short, damaged, unsupported or beyond the limits.
pub fn decode(bytes: &[u8]) -> Result<Frame, ImageError> {
    decode_reduced(bytes, &|_, _| 1)
}

/// As [`decode`], but of a JPEG by the scaled inverse transform, with the bytes that libjpeg-turbo gives then:
/// `reduction` is told width and height of the upright image and answers with 1, 2, 4 or 8; the
/// [next at which both sides are whole](whole_reduction) is taken. Other formats, and other depths than 8 bits, are not
/// reduced. The frame says [what was done](Frame::reduction).
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(bytes: &[u8], reduction: &dyn Fn(u32, u32) -> u32) -> Result<Frame, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(ImageError::TooLarge { what: format!("{} bytes", bytes.len()) });
    }
    let guess = image::guess_format(bytes).map_err(|_| ImageError::Format)?;
    let (kind, format) = FORMATS.into_iter().find(|(kind, _)| *kind == guess).ok_or(ImageError::Format)?;
    // The decoders are other people's parsers of hostile bytes: an index they get wrong must cost one image,
    // not the station. They own all their state, so nothing broken survives the unwinding.
    catch_unwind(AssertUnwindSafe(|| decode_as(kind, format, bytes, reduction)))
        .unwrap_or_else(|_| Err(ImageError::Damaged { format, reason: "the decoder gave up".to_owned() }))
}

/// The largest of 8, 4, 2 and 1 that is no more than `most` and divides every length.
pub fn whole_reduction(most: u32, lengths: &[u32]) -> u32 {
    let whole = |by: &u32| *by <= most && lengths.iter().all(|length| length.is_multiple_of(*by));
    [8, 4, 2].into_iter().find(whole).unwrap_or(1)
}

fn decode_as(
    kind: ImageFormat,
    format: &'static str,
    bytes: &[u8],
    reduction: &dyn Fn(u32, u32) -> u32,
) -> Result<Frame, ImageError> {
    if kind == ImageFormat::Jpeg {
        let (stored, reduced) = jpeg::decode(bytes, reduction)?;
        return Ok(upright(stored)?.reduced_by(reduced));
    }
    let explain = |error| explain(format, error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(FrameError::Empty { width, height }.into());
    }
    // The RGB8 result is counted too, since both are held while one becomes the other.
    let held = decoder.total_bytes().saturating_add(u64::from(width) * u64::from(height) * 3);
    if width > MAX_SIDE || height > MAX_SIDE || held > MAX_ALLOCATION {
        return Err(ImageError::TooLarge { what: format!("{width}×{height} pixels") });
    }
    let orientation = decoder.orientation().map_err(explain)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    if matches!(picture, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        let reason = "floating-point samples have no fixed white level".to_owned();
        return Err(ImageError::Unsupported { format, reason });
    }
    upright((picture, orientation))
}

fn upright((mut picture, orientation): (DynamicImage, Orientation)) -> Result<Frame, ImageError> {
    picture.apply_orientation(orientation);
    let picture = picture.into_rgb8();
    Ok(Frame::new(picture.width(), picture.height(), picture.into_raw())?)
}

fn explain(format: &'static str, error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::Limits(limit) => ImageError::TooLarge { what: limit.to_string() },
        image::ImageError::Unsupported(what) => ImageError::Unsupported { format, reason: what.to_string() },
        image::ImageError::IoError(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format }
        }
        other => ImageError::Damaged { format, reason: other.to_string() },
    }
}

/// Writes a frame as an 8-bit RGB PNG; the same frame always gives the same bytes.
///
/// # Errors
/// The encoder's refusal of the size.
pub fn encode_png(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(frame.rgb(), frame.width(), frame.height(), ExtendedColorType::Rgb8)
        .map_err(|error| not_encoded("PNG", frame, &error))?;
    Ok(bytes)
}

/// Writes a frame as a baseline JPEG of a quality from 1 to 100 (other values are clamped).
///
/// # Errors
/// A side beyond 65535 pixels.
pub fn encode_jpeg(frame: &Frame, quality: u8) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .write_image(frame.rgb(), frame.width(), frame.height(), ExtendedColorType::Rgb8)
        .map_err(|error| not_encoded("JPEG", frame, &error))?;
    Ok(bytes)
}

fn not_encoded(format: &'static str, frame: &Frame, error: &image::ImageError) -> ImageError {
    ImageError::Encode { format, width: frame.width(), height: frame.height(), reason: error.to_string() }
}
