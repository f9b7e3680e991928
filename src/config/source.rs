//! Where images come from.

use std::fmt::{self, Debug, Display, Formatter};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::without_secrets;

/// A source of images: one of these tables under `[station.source]`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A camera of the kernel.
    #[serde(rename = "v4l2")]
    V4l2 {
        /// `/dev/video0`, or better a path under `/dev/v4l/by-path`.
        device: PathBuf,
        /// Wanted pixels a row; left out, what the recipe needs.
        #[serde(default)]
        #[schemars(range(min = 1, max = 16_384))]
        width: Option<u32>,
        /// Wanted rows.
        #[serde(default)]
        #[schemars(range(min = 1, max = 16_384))]
        height: Option<u32>,
        /// Wanted images a second.
        #[serde(default)]
        #[schemars(range(min = 1, max = 1000))]
        fps: Option<u32>,
        /// `yuyv`, `mjpg`, `grey`, `nv12` or `rgb24`; left out, the nearest to what the recipe needs.
        #[serde(default)]
        #[schemars(extend("enum" = ["yuyv", "mjpg", "grey", "nv12", "rgb24"]))]
        format: Option<String>,
    },
    /// Files that appear in a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// What becomes of a file that was judged.
        after: After,
        /// Folder for judged files, for `after = "move"`; on the same file system.
        #[serde(default)]
        moved_to: Option<PathBuf>,
    },
    /// A program that writes images to its standard output.
    Command {
        /// Program and arguments; no shell is involved.
        #[schemars(length(min = 1))]
        command: Vec<String>,
        /// What it writes.
        frames: Frames,
    },
    /// Motion JPEG over HTTP (`multipart/x-mixed-replace`).
    Http {
        /// `http://user:password@host/path`; the password is never shown.
        url: String,
    },
}

/// In words, without passwords: `camera /dev/video0`.
impl Display for Source {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4l2 { device, .. } => write!(formatter, "camera {}", device.display()),
            Self::Folder { path, .. } => write!(formatter, "folder {}", path.display()),
            Self::Command { command, .. } => {
                let words: Vec<String> = command.iter().map(|word| without_secrets(word)).collect();
                write!(formatter, "command {}", words.join(" "))
            }
            Self::Http { url } => write!(formatter, "address {}", without_secrets(url)),
        }
    }
}

/// Without passwords.
impl Debug for Source {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4l2 { device, width, height, fps, format } => formatter
                .debug_struct("V4l2")
                .field("device", device)
                .field("width", width)
                .field("height", height)
                .field("fps", fps)
                .field("format", format)
                .finish(),
            Self::Folder { path, after, moved_to } => formatter
                .debug_struct("Folder")
                .field("path", path)
                .field("after", after)
                .field("moved_to", moved_to)
                .finish(),
            Self::Command { command, frames } => {
                let words: Vec<String> = command.iter().map(|word| without_secrets(word)).collect();
                formatter.debug_struct("Command").field("command", &words).field("frames", frames).finish()
            }
            Self::Http { url } => formatter.debug_struct("Http").field("url", &without_secrets(url)).finish(),
        }
    }
}

/// What becomes of a judged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// It is deleted.
    Delete,
    /// It is moved to `moved_to`.
    Move,
}

/// What a command writes to its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Frames {
    /// JPEG after JPEG.
    Mjpeg,
    /// Raw frames of one size.
    Raw {
        /// `yuyv`, `grey`, `nv12` or `rgb24`.
        #[schemars(extend("enum" = ["yuyv", "grey", "nv12", "rgb24"]))]
        format: String,
        /// Pixels a row.
        #[schemars(range(min = 1, max = 16_384))]
        width: u32,
        /// Rows.
        #[schemars(range(min = 1, max = 16_384))]
        height: u32,
    },
}
