//! A new shelf for a device: checked, proven on this very device by its golden images, and only then taken into use.
//! Refuses whatever is damaged, newer, too large, from nobody known, or scores differently here.

mod slots;
mod stick;
mod trust;

use std::io;
use std::path::PathBuf;

use shelfwatch_core::Shelf;
use thiserror::Error;

pub use slots::{Slots, Trial};
pub use stick::offered;
pub use trust::Trust;

use super::processor;
use super::proof::{Proof, ProofError, prove};
use crate::config::{self, Station};
use crate::detector::{Detector, DetectorError};
use crate::digest::{hexadecimal, sha256};
use crate::shelf::{FileError, KeyError, PublicKey, SignatureError, read_bounded};

/// Why a shelf is not taken. The one in use goes on.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The device says nothing of whom it trusts.
    #[error("this device trusts nobody; name public keys in [install] keys, or set unsigned = true there")]
    NoTrust,
    /// A key that the configuration names cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is larger than the device takes.
    #[error(
        "the shelf is larger than the {0} bytes that this device takes; use a smaller backbone, or raise megabytes in \
         [install]"
    )]
    TooLarge(u64),
    /// It is no sound shelf.
    #[error(transparent)]
    Shelf(#[from] shelfwatch_core::Error),
    /// Nobody who is trusted vouches for it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It was made for other processors.
    #[error("{0}")]
    Processor(String),
    /// The shelf before, or the ONNX file of a detached one, cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The backbone or recipe cannot be used here.
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// It does not score here as it did where it was fitted.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There is no shelf to return to.
    #[error("there is no earlier shelf beside {0}; install one")]
    NothingBefore(PathBuf),
    /// It could not be put in place; the one in use is the same.
    #[error("cannot put the shelf to {path}: {source}; check free space and permissions of the folder")]
    Switch {
        /// The shelf in use.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What was found out about a shelf that may be taken into use.
#[derive(Clone, Debug)]
pub struct Found {
    /// The product that it names; may be empty.
    pub product: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Fingerprint of the key that signed it.
    pub signed_by: Option<String>,
    /// What the golden images say.
    pub proof: Proof,
}

/// Checks a shelf for a station and proves it on this device. Changes nothing.
///
/// # Errors
/// [`InstallError`], from the cheapest check to the dearest.
pub fn examine(shelf: &[u8], station: &Station, install: &config::Install) -> Result<Found, InstallError> {
    let trust = Trust::read(install)?;
    if !trust.is_set() {
        return Err(InstallError::NoTrust);
    }
    let limit = install.bytes();
    if shelf.len() as u64 > limit {
        return Err(InstallError::TooLarge(limit));
    }
    let (parsed, signer) = screen(shelf, &trust)?;
    let signed_by = signer.map(|key| key.fingerprint());
    let onnx = station.backbone.as_deref().map(|path| read_bounded(path, limit)).transpose()?;
    let product = parsed.header().product.to_owned();
    let proof = prove(&mut Detector::new(parsed, onnx.as_deref())?)?;
    Ok(Found { product, sha256: hexadecimal(&sha256(shelf)), signed_by, proof })
}

/// A sound shelf from somebody who is trusted, for processors like this one; and who signed it.
pub(super) fn screen<'b>(shelf: &'b [u8], trust: &Trust) -> Result<(Shelf<'b>, Option<PublicKey>), InstallError> {
    let parsed = Shelf::parse(shelf)?;
    let signer = trust.admit(shelf)?;
    processor::suits(&parsed).map_err(InstallError::Processor)?;
    Ok((parsed, signer))
}

/// Takes a shelf that was [`examine`]d into use; the daemon notices by itself.
///
/// # Errors
/// [`InstallError::Switch`].
pub fn take_into_use(shelf: &[u8], station: &Station) -> Result<(), InstallError> {
    let switch = |source| InstallError::Switch { path: station.shelf.clone(), source };
    Slots::new(&station.shelf).switch(shelf).map_err(switch)
}

/// Returns to the shelf that was in use before; it is proven first, as a new one is.
///
/// # Errors
/// [`InstallError::NothingBefore`], or why it is no longer to be used.
pub fn roll_back(station: &Station, install: &config::Install) -> Result<Found, InstallError> {
    let slots = Slots::new(&station.shelf);
    if !slots.previous().exists() {
        return Err(InstallError::NothingBefore(station.shelf.clone()));
    }
    let found = examine(&read_bounded(&slots.previous(), install.bytes())?, station, install)?;
    slots.roll_back().map_err(|source| InstallError::Switch { path: station.shelf.clone(), source })?;
    Ok(found)
}
