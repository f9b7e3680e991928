//! The signature of a shelf: who vouches for every byte of it. Refuses to sign what this program does not understand.
//!
//! What is signed is the text `shelfwatch shelf 1` with a newline, 1 being the format version, followed by the SHA-256 of
//! all other sections: for each, in the order of the file, its number (`u16`), its length (`u64`) and its bytes.

use sha2::{Digest, Sha256};
use shelfwatch_core::layout::{Sections as Parsed, VERSION};
use shelfwatch_core::{Error, SectionKind, Shelf};
use thiserror::Error;

use super::assembly::Sections;
use super::key::{PublicKey, SecretKey};

/// Bytes of the section: the public key and the signature.
const LENGTH: usize = 96;

/// Why a shelf has no good signature, or can be given none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The file is no sound shelf.
    #[error(transparent)]
    Shelf(#[from] Error),
    /// There is none.
    #[error("the shelf is not signed; sign it with `shelfwatch sign`")]
    Unsigned,
    /// The section is no signature.
    #[error("the signature of the shelf is malformed; sign it again")]
    Malformed,
    /// It belongs to other bytes.
    #[error(
        "the signature does not belong to this content: the shelf was changed after {0} had signed it; get the \
             original"
    )]
    Broken(String),
    /// It is good, and nobody trusts the key.
    #[error("the shelf is signed by {0}, a key that is not trusted here; have it signed by a trusted key")]
    Untrusted(String),
    /// The file has sections of a later program version.
    #[error("section {0} of the shelf is unknown to this program; update shelfwatch, then sign")]
    UnknownSection(u16),
}

/// Whose signature a shelf bears; `None` where it bears none.
///
/// # Errors
/// [`SignatureError::Malformed`], [`SignatureError::Broken`], or why the file is no shelf.
pub fn signer(file: &[u8]) -> Result<Option<PublicKey>, SignatureError> {
    let sections = Parsed::parse(file)?;
    let Some(section) = sections.find(SectionKind::Signature)? else { return Ok(None) };
    let (key, signature) = split(section).ok_or(SignatureError::Malformed)?;
    if key.has_signed(&message(&sections), signature) {
        Ok(Some(key))
    } else {
        Err(SignatureError::Broken(key.fingerprint()))
    }
}

/// Whose signature it is, provided that it is one of `trusted`.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(file: &[u8], trusted: &[PublicKey]) -> Result<PublicKey, SignatureError> {
    let key = signer(file)?.ok_or(SignatureError::Unsigned)?;
    if trusted.contains(&key) { Ok(key) } else { Err(SignatureError::Untrusted(key.fingerprint())) }
}

/// The same shelf with this signature, instead of the one it may bear. The same key and shelf give the same bytes.
///
/// # Errors
/// [`SignatureError::UnknownSection`], or why the file is no shelf.
pub fn sign(file: &[u8], key: &SecretKey) -> Result<Vec<u8>, SignatureError> {
    Shelf::parse(file)?;
    let parsed = Parsed::parse(file)?;
    let mut sections = Sections::default();
    for (number, bytes) in parsed.numbered() {
        let kind = SectionKind::from_number(number).ok_or(SignatureError::UnknownSection(number))?;
        if kind != SectionKind::Signature {
            sections.push(kind, bytes.to_vec());
        }
    }
    let unsigned = sections.clone().assemble();
    let signature = key.sign(&message(&Parsed::parse(&unsigned)?));
    sections.push(SectionKind::Signature, [&key.public().to_bytes()[..], &signature].concat());
    Ok(sections.assemble())
}

fn message(sections: &Parsed<'_>) -> Vec<u8> {
    let mut hash = Sha256::new();
    for (number, bytes) in sections.numbered().filter(|(number, _)| *number != SectionKind::Signature as u16) {
        hash.update(number.to_le_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    [format!("shelfwatch shelf {VERSION}\n").as_bytes(), &hash.finalize()].concat()
}

fn split(section: &[u8]) -> Option<(PublicKey, &[u8; 64])> {
    if section.len() != LENGTH {
        return None;
    }
    let (key, signature) = section.split_first_chunk::<32>()?;
    Some((PublicKey::from_bytes(key)?, signature.first_chunk()?))
}
