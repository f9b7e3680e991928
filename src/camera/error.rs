//! Why a source gave no image, with a word that does not change for records and messages.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::image_file::ImageError;

/// Why there is no image, or none that can be judged.
#[derive(Debug, Error)]
pub enum CameraError {
    /// The configuration asks for what this source cannot do; waiting does not help.
    #[error("{camera} cannot be used: {reason}")]
    Refused {
        /// The source.
        camera: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The source is not there, or has gone.
    #[error("{camera} is lost: {reason}")]
    Lost {
        /// The source.
        camera: String,
        /// What happened and what to do.
        reason: String,
    },
    /// The source is open and no image came for so long that it counts as lost.
    #[error(
        "{camera} sent no image for {} ms; check its cable, power and settings, or raise `timeout_ms`",
        waited.as_millis()
    )]
    Silent {
        /// The source.
        camera: String,
        /// How long.
        waited: Duration,
    },
    /// The source does not come back from a call to the system.
    #[error("{camera} has hung for {} ms; check its driver, or the server of the network folder", waited.as_millis())]
    Hung {
        /// The source.
        camera: String,
        /// How long.
        waited: Duration,
    },
    /// No image within the time that was asked for; the source may be well.
    #[error("no image within {} ms; wait longer, or check the camera", waited.as_millis())]
    NoImage {
        /// How long.
        waited: Duration,
    },
    /// One image came damaged; the next may be well.
    #[error("{camera} sent a damaged image: {reason}")]
    Damaged {
        /// The source.
        camera: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// One file in a folder is no image that can be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and where it is now.
        reason: String,
    },
    /// The bytes are no whole image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A raw image does not have its size.
    #[error("{format} image of {width}×{height} with rows of {stride} bytes: {reason}")]
    Raw {
        /// The pixel format.
        format: &'static str,
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes from row to row.
        stride: u32,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The region of interest lies beyond the image.
    #[error(
        "region of interest {roi:?} does not fit the image of {width}×{height} pixels; \
         give left, top, width and height inside it"
    )]
    Roi {
        /// Left, top, width, height.
        roi: [u32; 4],
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A judged file could not be moved or deleted. It is not judged again while the program runs.
    #[error("cannot {deed} {}: {cause}; give the service the right to write there", path.display())]
    Settle {
        /// The file.
        path: PathBuf,
        /// `delete` or `move`.
        deed: &'static str,
        /// The system's reason.
        #[source]
        cause: io::Error,
    },
}

impl CameraError {
    /// A word that does not change: for events, records and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "source-refused",
            Self::Lost { .. } | Self::Silent { .. } | Self::Hung { .. } => "camera-lost",
            Self::NoImage { .. } => "no-image",
            Self::Damaged { .. } | Self::File { .. } | Self::Image(_) | Self::Raw { .. } => "image-damaged",
            Self::Roi { .. } => "roi-outside",
            Self::Settle { .. } => "file-not-settled",
        }
    }

    /// Whether it concerns one image only, and the source goes on.
    pub const fn is_of_one_image(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::File { .. } | Self::Image(_) | Self::Raw { .. } | Self::Roi { .. })
    }
}
