//! Writes shelf files: compact matrices, sections with checksums, the file itself without a half-written state, and who
//! vouches for it.

mod assembly;
mod compact;
mod file;
mod key;
mod signature;

pub use assembly::{Sections, calibration_section, golden_section, vector_section};
pub use compact::{Precision, matrix_section};
pub use file::{FileError, read_bounded, write_atomically};
pub(crate) use file::{Staged, folder_of};
pub use key::{KeyError, PublicKey, SecretKey};
pub use signature::{SignatureError, sign, signer, verify};
