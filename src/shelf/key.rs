//! Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them.
//! Refuses keys of other kinds and points of small order.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;

use super::file::{FileError, read_bounded, write_atomically};
use crate::digest::{hexadecimal, sha256};

/// A key file is a few lines.
const LARGEST: u64 = 1 << 16;
/// Digits of a fingerprint: 128 bits.
const FINGERPRINT: usize = 32;

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no such key.
    #[error("{path} is no {what} Ed25519 key in PEM; make one with `shelfwatch keygen`")]
    NotAKey {
        /// The file.
        path: String,
        /// `secret` or `public`.
        what: &'static str,
    },
    /// The file is there already.
    #[error("{0} is there already; give another name, for a lost key cannot be made again")]
    Exists(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers ({0}); try again when it has started")]
    NoRandom(String),
}

/// What signs a shelf. Dropped, its memory is overwritten.
pub struct SecretKey(SigningKey);

/// What tells whose signature it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SecretKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::NoRandom(error.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`KeyError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path)?;
        let key = SigningKey::from_pkcs8_pem(text.trim());
        key.map(Self).map_err(|_| not_a_key(path, "secret"))
    }

    /// Writes a PEM file that its owner alone may read; never over another one.
    ///
    /// # Errors
    /// [`KeyError::Exists`], [`KeyError::File`].
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        // Without the public key in it, which OpenSSL does not read.
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = bytes.to_pkcs8_pem(LineEnding::LF).map_err(|_| not_a_key(path, "secret"))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => KeyError::Exists(path.display().to_string()),
            _ => FileError::Write { path: path.to_owned(), source }.into(),
        })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl PublicKey {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`KeyError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path)?;
        let key = VerifyingKey::from_public_key_pem(text.trim()).ok().filter(|key| !key.is_weak());
        key.map(Self).ok_or_else(|| not_a_key(path, "public"))
    }

    /// Writes a PEM file.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let pem = self.0.to_public_key_pem(LineEnding::LF).map_err(|_| not_a_key(path, "public"))?;
        Ok(write_atomically(path, pem.as_bytes())?)
    }

    /// The first 32 hexadecimal digits of the SHA-256 of its 32 bytes: its name for people.
    pub fn fingerprint(&self) -> String {
        let mut digits = hexadecimal(&sha256(self.0.as_bytes()));
        digits.truncate(FINGERPRINT);
        digits
    }

    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

fn not_a_key(path: &Path, what: &'static str) -> KeyError {
    KeyError::NotAKey { path: path.display().to_string(), what }
}

fn read_text(path: &Path) -> Result<String, KeyError> {
    let bytes = read_bounded(path, LARGEST)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
