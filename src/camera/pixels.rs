//! Captured bytes to RGB: only the region of interest of raw formats is converted. Refuses buffers that are shorter
//! than their size says, and regions outside the image.

use crate::camera::{CameraError, yuv};
use crate::capture::{Capture, PixelFormat};
use crate::frame::Frame;
use crate::image_file::{self, MAX_SIDE, whole_reduction};

/// Turns the bytes of a capture into a frame: the whole, or left, top, width and height of `roi`.
/// `reuse` is the buffer of an earlier frame ([`Frame::into_rgb`]): raw formats then allocate nothing.
///
/// # Errors
/// An image file that cannot be read or is cut short, a raw buffer that does not hold its size, a region of interest
/// without pixels or not wholly inside.
pub fn decode(capture: &Capture, roi: Option<[u32; 4]>, reuse: Vec<u8>) -> Result<Frame, CameraError> {
    decode_reduced(capture, roi, &|_, _| 1, reuse)
}

/// As [`decode`], with JPEGs decoded [at reduced scale](image_file::decode_reduced): `reduction` is told the sides of
/// the region, and the next at which its edges are whole is taken.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(
    capture: &Capture,
    roi: Option<[u32; 4]>,
    reduction: &dyn Fn(u32, u32) -> u32,
    reuse: Vec<u8>,
) -> Result<Frame, CameraError> {
    if capture.format == PixelFormat::File {
        let Some(roi) = roi else { return Ok(image_file::decode_reduced(&capture.bytes, reduction)?) };
        let by = whole_reduction(reduction(roi[2], roi[3]), &roi);
        let frame = image_file::decode_reduced(&capture.bytes, &|_, _| by)?;
        return crop(frame, roi);
    }
    let planes = Planes::of(capture)?;
    let window = Window::of(roi, capture.width, capture.height)?;
    // Every byte is written below, so old ones need no clearing.
    let mut rgb = reuse;
    rgb.resize(window.width * window.height * 3, 0);
    for (y, out) in (window.top..).zip(rgb.chunks_exact_mut(window.width * 3)) {
        planes.row(capture.format, y, window.left, out);
    }
    Ok(Frame::new(window.width as u32, window.height as u32, rgb).map_err(image_file::ImageError::from)?)
}

/// A region that was found to lie inside its image.
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Window {
    fn of(roi: Option<[u32; 4]>, width: u32, height: u32) -> Result<Self, CameraError> {
        let roi = roi.unwrap_or([0, 0, width, height]);
        let inside =
            |start: u32, length: u32, side: u32| length > 0 && u64::from(start) + u64::from(length) <= u64::from(side);
        if !inside(roi[0], roi[2], width) || !inside(roi[1], roi[3], height) {
            return Err(CameraError::Roi { roi, width, height });
        }
        let [left, top, width, height] = roi.map(|side| side as usize);
        Ok(Self { left, top, width, height })
    }
}

/// Cuts the region, in pixels of the frame's source, out within the frame's own buffer.
fn crop(frame: Frame, roi: [u32; 4]) -> Result<Frame, CameraError> {
    let by = frame.reduction();
    let stride = frame.width() as usize * 3;
    Window::of(Some(roi), frame.width().saturating_mul(by), frame.height().saturating_mul(by))?;
    let window = Window::of(Some(roi.map(|side| side / by)), frame.width(), frame.height())?;
    let (length, mut rgb) = (window.width * 3, frame.into_rgb());
    for row in 0..window.height {
        let start = (window.top + row) * stride + window.left * 3;
        rgb.copy_within(start..start + length, row * length);
    }
    rgb.truncate(window.height * length);
    let cut = Frame::new(window.width as u32, window.height as u32, rgb).map_err(image_file::ImageError::from)?;
    Ok(cut.reduced_by(by))
}

/// Bytes of a row without padding; the rows of chroma of [`PixelFormat::Nv12`] are as long.
pub(super) fn row_bytes(format: PixelFormat, width: u32) -> u64 {
    let width = u64::from(width);
    match format {
        PixelFormat::File => 0,
        PixelFormat::Yuyv => width.div_ceil(2) * 4,
        PixelFormat::Grey => width,
        PixelFormat::Rgb24 => width * 3,
        PixelFormat::Nv12 => width.div_ceil(2) * 2,
    }
}

/// Bytes that an image must have: whole rows but for the last, whose padding may be missing.
pub(super) fn image_bytes(format: PixelFormat, width: u32, height: u32, stride: u32) -> u64 {
    let (row, stride, rows) = (row_bytes(format, width), u64::from(stride), u64::from(height));
    match format {
        PixelFormat::File => 0,
        // The plane of luminance is padded in full, since that of chroma follows it.
        PixelFormat::Nv12 => stride * rows + stride * rows.div_ceil(2).saturating_sub(1) + row,
        _ => stride * rows.saturating_sub(1) + row,
    }
}

/// The planes of a raw image that is as long as its size says.
struct Planes<'a> {
    /// Luminance, or all there is.
    first: &'a [u8],
    /// Chroma.
    second: &'a [u8],
    stride: usize,
}

impl<'a> Planes<'a> {
    fn of(capture: &'a Capture) -> Result<Self, CameraError> {
        let Capture { format, width, height, stride, .. } = *capture;
        let wrong = |reason: String| CameraError::Raw { format: format.name(), width, height, stride, reason };
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(wrong(format!("sides must be 1 to {MAX_SIDE} pixels; set the size of the source")));
        }
        let row = row_bytes(format, width);
        if u64::from(stride) < row {
            return Err(wrong(format!("a row needs {row} bytes; set the size or the format of the source")));
        }
        let need = image_bytes(format, width, height, stride);
        let have = capture.bytes.len() as u64;
        if have < need {
            let short = need - have;
            return Err(wrong(format!(
                "{short} bytes are missing (need {need}, have {have}); check cable and bandwidth"
            )));
        }
        let stride = stride as usize;
        let chroma = if format == PixelFormat::Nv12 { stride * height as usize } else { capture.bytes.len() };
        let (first, second) = capture.bytes.split_at(chroma);
        Ok(Self { first, second, stride })
    }

    /// Converts a row from pixel `left` on, as many as `out` holds.
    fn row(&self, format: PixelFormat, y: usize, left: usize, out: &mut [u8]) {
        let row = &self.first[y * self.stride..];
        match format {
            // Files were decoded elsewhere.
            PixelFormat::File => {}
            PixelFormat::Rgb24 => out.copy_from_slice(&row[left * 3..left * 3 + out.len()]),
            PixelFormat::Grey => {
                for (pixel, &level) in out.chunks_exact_mut(3).zip(&row[left..]) {
                    pixel.fill(level);
                }
            }
            PixelFormat::Yuyv => yuv::yuyv(row, left, out),
            PixelFormat::Nv12 => yuv::nv12(row, &self.second[y / 2 * self.stride..], left, out),
        }
    }
}
