//! Why a shelf could not be fitted.

use std::io;

use thiserror::Error;

use crate::detector::DetectorError;
use crate::image_folder::ImagesError;
use crate::method::{CalibrationError, MethodError};

/// Why a shelf could not be fitted; each names what is wrong and what helps.
#[derive(Debug, Error)]
pub enum FitError {
    /// The images could not be listed.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// Backbone or recipe do not work.
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// The shelf that was written does not read back. This is a defect of the program.
    #[error("the fitted shelf does not read back: {0}")]
    Shelf(#[from] shelfwatch_core::Error),
    /// The statistics do not support a fit.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// The images do not support the promise asked for.
    #[error(
        "{0}; give more images with --calibrate, or a larger rate (`--alpha-reject auto --alpha-review auto` takes the least that the images support)"
    )]
    Calibration(CalibrationError),
    /// Too many files that are no usable image.
    #[error("{count} files could not be used, more than --max-bad {limit}; the last one: {last}")]
    TooManyBad {
        /// Bad files so far.
        count: u64,
        /// What was allowed.
        limit: u64,
        /// The last one, with its error.
        last: String,
    },
    /// All files of a set were bad, or the split left nothing.
    #[error("no image is left to {purpose}; give more images, or others with --calibrate")]
    NoImages {
        /// `fit on`, `calibrate with`.
        purpose: &'static str,
    },
    /// The score wants something that the backbone does not have.
    #[error("score `{score}` cannot be had from this backbone: {why}; choose another --score")]
    NotOffered {
        /// The score.
        score: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// A score that multiplies by the largest logit, where that is not always positive.
    #[error(
        "score `{score}` multiplies by the largest logit, which is not positive on {count} of {images} images; choose another --score, or insist with --allow-negative-logits"
    )]
    NegativeLogits {
        /// The score.
        score: &'static str,
        /// Images with a largest logit ≤ 0.
        count: u64,
        /// Images looked at.
        images: u64,
    },
    /// The review point would lie below the reject point.
    #[error("the review rate {review} is below the reject rate {reject}; give --alpha-review above --alpha-reject")]
    Order {
        /// α of the review point.
        review: f64,
        /// α of the reject point.
        reject: f64,
    },
    /// The fitted shelf judges images otherwise than the fit did. This is a defect of the program.
    #[error("the fitted shelf does not reproduce its own calibration scores; this is a defect, please report it")]
    NotReproduced,
    /// Statistics of another backbone or recipe.
    #[error("the statistics belong to another {what} than the one given; take statistics with the same files")]
    OtherStatistics {
        /// `backbone` or `recipe`.
        what: &'static str,
    },
    /// The temporary file for calibration features failed.
    #[error("cannot keep calibration features in a temporary file: {0}; check free space of the temporary folder")]
    Spool(#[from] io::Error),
}

impl From<CalibrationError> for FitError {
    /// The error's words stand in ours, so it is not named as a source a second time.
    fn from(error: CalibrationError) -> Self {
        Self::Calibration(error)
    }
}
