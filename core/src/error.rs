//! What can be wrong with a shelf file or with the numbers put to it. Each message names the part and the remedy.

use core::fmt;

use crate::layout::SectionKind;

/// Why a shelf could not be read, or a feature could not be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The first bytes are not those of a shelf file.
    NotAShelf,
    /// The file was written in a format that this program does not know.
    Version {
        /// The version in the file.
        found: u16,
        /// The newest version that this program reads.
        known: u16,
    },
    /// The file is shorter or longer than it says of itself.
    Length {
        /// Bytes that the preamble promises.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The preamble or the section table does not match its checksum, or contradicts itself.
    Table,
    /// A section's bytes do not match its checksum.
    Checksum(SectionKind),
    /// A section that the header calls for is not there, or one stands there twice.
    Section(SectionKind),
    /// A section's content contradicts the header or itself.
    Malformed(SectionKind),
    /// A vector of the wrong length was given.
    Dimension {
        /// Which vector: `feature`, `logits`, `map`, `scratch`, `out`.
        name: &'static str,
        /// The length that the shelf calls for.
        expected: usize,
        /// The length given.
        found: usize,
    },
    /// A feature, a logit or the score itself is NaN or infinite.
    NotFinite(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotAShelf => f.write_str("not a shelf file; make one with `shelfwatch fit`"),
            Self::Version { found, known } => write!(
                f,
                "shelf format {found} is not one this program reads (it knows 1 to {known}); update shelfwatch"
            ),
            Self::Length { expected, found } if found < expected => write!(
                f,
                "shelf file is {} bytes short (need {expected}, have {found}); copy it again",
                expected - found
            ),
            Self::Length { expected, found } => write!(
                f,
                "shelf file has {} bytes too many (need {expected}, have {found}); copy it again",
                found - expected
            ),
            Self::Table => f.write_str("the section table of the shelf is damaged; copy the file again"),
            Self::Checksum(kind) => {
                write!(f, "section `{kind}` of the shelf is damaged (checksum differs); copy the file again")
            }
            Self::Section(kind) => {
                write!(f, "section `{kind}` of the shelf is missing or doubled; fit the shelf again")
            }
            Self::Malformed(kind) => {
                write!(f, "section `{kind}` of the shelf contradicts the header or itself; fit the shelf again")
            }
            Self::Dimension { name, expected, found } => {
                write!(f, "{name} has {found} values, the shelf needs {expected}; use the shelf's own backbone")
            }
            Self::NotFinite(name) => {
                write!(f, "{name} is not a finite number; check the image and the backbone")
            }
        }
    }
}

impl core::error::Error for Error {}
