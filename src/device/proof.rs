//! A shelf proves itself on this very machine: its golden images must get the scores they had when it was fitted.

use thiserror::Error;

use crate::detector::{Detector, DetectorError};
use crate::image_file::ImageError;
use crate::intake;

/// Relative difference that float kernels of another processor may make.
const TOLERANCE: f32 = 1e-4;

/// Why a shelf is not proven here.
#[derive(Debug, Error)]
pub enum ProofError {
    /// The shelf holds nothing to prove it with.
    #[error("the shelf holds no golden images, so it cannot be proven on this device; fit it again")]
    None,
    /// A golden image cannot be decoded.
    #[error("golden image {number}: {cause}")]
    Image {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        cause: ImageError,
    },
    /// The backbone or the recipe does not run here.
    #[error("golden image {number}: {cause}")]
    Detector {
        /// Which one, from 1.
        number: usize,
        /// What went wrong.
        #[source]
        cause: DetectorError,
    },
    /// A score differs.
    #[error(
        "golden image {number} scores {found} here and scored {expected} when the shelf was fitted; use the program \
         version that fitted it, or fit again"
    )]
    Differs {
        /// Which one, from 1.
        number: usize,
        /// The score in the file.
        expected: f32,
        /// The score here.
        found: f32,
    },
}

/// What a proof found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proof {
    /// Golden images that were judged.
    pub images: usize,
    /// How many got the very same bits.
    pub exact: usize,
    /// The largest relative difference.
    pub largest: f32,
}

/// Judges every golden image.
///
/// # Errors
/// [`ProofError`]: none there, one that cannot be judged, or a score that differs by more than 1e-4 of itself.
pub fn prove(detector: &mut Detector<'_>) -> Result<Proof, ProofError> {
    let golden = detector.shelf().golden();
    let mut proof = Proof { images: 0, exact: 0, largest: 0.0 };
    for (number, image) in (1..).zip(golden.iter()) {
        let frame = intake::file(image.file, detector.frontend().recipe())
            .map_err(|cause| ProofError::Image { number, cause })?;
        let found = detector.read(&frame).map_err(|cause| ProofError::Detector { number, cause })?.score;
        let difference = (found - image.score).abs() / image.score.abs().max(1.0);
        // Also where the difference is not a number.
        if difference.is_nan() || difference > TOLERANCE {
            return Err(ProofError::Differs { number, expected: image.score, found });
        }
        proof.images += 1;
        proof.exact += usize::from(found.to_bits() == image.score.to_bits());
        proof.largest = proof.largest.max(difference);
    }
    if proof.images == 0 { Err(ProofError::None) } else { Ok(proof) }
}
