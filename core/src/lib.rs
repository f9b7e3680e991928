//! Reads a shelf file that lies in memory and scores feature vectors against it: no allocation, no unsafe code.
//!
//! The same code judges images when a shelf is fitted and on the device, so that a score cannot differ between them.
//! The numbers are f32, added in a fixed order: from the same feature every machine gets the same score.
#![no_std]
#![forbid(unsafe_code)]

mod calibration;
mod decide;
mod drift;
mod error;
mod golden;
mod header;
mod heat;
mod kind;
pub mod layout;
mod matrix;
mod score;
mod shelf;

pub use calibration::Calibration;
pub use decide::{DecideError, Decider, DeciderOptions, Decision, MAX_WINDOW, Verdict};
pub use drift::{Drift, DriftError};
pub use error::Error;
pub use golden::{Golden, GoldenImage};
pub use header::{BackboneFacts, Constants, Dims, Evidence, Guarantee, Header, MAX_TERMS, OperatingPoint, Term};
pub use kind::ScoreKind;
pub use layout::SectionKind;
pub use matrix::{Encoding, Matrix, Row, Vector};
pub use score::predicted;
pub use shelf::{Judgement, MAX_NEIGHBOURS, Shelf};
