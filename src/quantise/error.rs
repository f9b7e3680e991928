//! Why a network could not be quantised on these images.

use thiserror::Error;

use crate::backbone::BackboneError;
use crate::backbone::quantise::Unquantisable;
use crate::detector::DetectorError;

/// Why a network could not be quantised; each names what is wrong and what helps.
#[derive(Debug, Error)]
pub enum QuantiseError {
    /// The network is none that can be quantised.
    #[error(transparent)]
    Network(#[from] Unquantisable),
    /// The network or the recipe does not work.
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// The engine does not run it.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// Too few images to take ranges from some and report on others.
    #[error("{found} images are too few to quantise with; give at least 3, better a few hundred")]
    TooFew {
        /// Images found.
        found: usize,
    },
    /// Every image was bad.
    #[error("no image is left to quantise with; give more images")]
    NoImages,
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
}
