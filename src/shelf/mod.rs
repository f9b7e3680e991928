//! Writes shelf files: compact matrices, sections with checksums, and the file itself without a half-written state.

mod assembly;
mod compact;
mod file;

pub use assembly::{Sections, calibration_section, golden_section, vector_section};
pub use compact::{Precision, matrix_section};
pub use file::{FileError, read_bounded, write_atomically};
