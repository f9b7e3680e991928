//! Sources of images: a camera of the kernel, a watched folder, a command, Motion JPEG over HTTP; and the [`Feed`] that
//! reads one in its own thread, reopens it after a failure and picks images for triggers. Refuses TLS.

mod command;
mod error;
mod feed;
mod folder;
mod http;
mod jpeg_stream;
mod jpeg_walk;
mod pixels;
mod poll;
mod v4l2;
mod yuv;

use std::time::Duration;

use crate::capture::{Capture, PixelFormat};
use crate::config::Source;

pub use error::CameraError;
pub use feed::{Delivery, Feed, FeedOptions, Pace};
pub use folder::Tray;
pub use pixels::{decode, decode_reduced};

/// Most bytes of one image of a stream: beyond that its end was lost.
pub const MAX_IMAGE: usize = 64 * 1024 * 1024;

/// The size that the recipe needs, where the configuration does not set one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// An open source of images.
pub trait Camera: Send {
    /// Fills `into` with the next image; its old content is lost and its memory used again.
    ///
    /// # Errors
    /// [`CameraError::NoImage`] after the timeout. Errors of [one image](CameraError::is_of_one_image), after which the
    /// source goes on. Any other: the source is lost and must be opened anew.
    fn next(&mut self, timeout: Duration, into: &mut Capture) -> Result<(), CameraError>;

    /// What it is, for messages: `camera /dev/video0`. Passwords are left out.
    fn name(&self) -> String;

    /// Whether images wait until they are fetched, as files do: then none may be skipped, and having none is no failure.
    fn waits(&self) -> bool {
        false
    }
}

/// Opens a source.
///
/// # Errors
/// [`CameraError::Refused`] where the configuration asks for the impossible, else [`CameraError::Lost`].
pub fn open(source: &Source, wanted: Wanted) -> Result<Box<dyn Camera>, CameraError> {
    open_with(source, wanted, Tray::of(source)?.as_ref())
}

/// As [`open`], with the tray that knows which files of a folder are still being judged.
fn open_with(source: &Source, wanted: Wanted, tray: Option<&Tray>) -> Result<Box<dyn Camera>, CameraError> {
    Ok(match (source, tray) {
        (Source::V4l2 { device, width, height, fps, format }, _) => {
            let wish = v4l2::Wish {
                width: width.unwrap_or(wanted.width),
                height: height.unwrap_or(wanted.height),
                fps: *fps,
                format: format.as_deref(),
            };
            Box::new(v4l2::Video::open(device, &wish)?)
        }
        (Source::Folder { .. }, Some(tray)) => Box::new(folder::Folder::open(tray.clone())?),
        (Source::Folder { .. }, None) => {
            return Err(refused("folder", "it was opened without its tray; report this as an error"));
        }
        (Source::Command { command, frames }, _) => Box::new(command::Command::open(command, frames)?),
        (Source::Http { url }, _) => Box::new(http::Http::open(url)?),
    })
}

/// The raw format of that name in the configuration.
fn raw_format(word: &str) -> Option<PixelFormat> {
    [PixelFormat::Yuyv, PixelFormat::Grey, PixelFormat::Nv12, PixelFormat::Rgb24]
        .into_iter()
        .find(|format| format.name() == word)
}

fn refused(camera: impl Into<String>, reason: impl Into<String>) -> CameraError {
    CameraError::Refused { camera: camera.into(), reason: reason.into() }
}

fn lost(camera: impl Into<String>, reason: impl Into<String>) -> CameraError {
    CameraError::Lost { camera: camera.into(), reason: reason.into() }
}
