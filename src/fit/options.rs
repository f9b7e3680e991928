//! What a fit may be told, with defaults.

use std::path::PathBuf;

use shelfwatch_core::{Guarantee, ScoreKind};

use crate::method::Options;
use crate::shelf::Precision;

/// Which score the shelf uses.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoreChoice {
    /// One score, or the sum of up to three, each in units of its standard deviation on calibration images.
    Kinds(Vec<ScoreKind>),
    /// By evidence; real strangers where a folder of them is given, else made from good images.
    Auto {
        /// A folder of strangers, or of folders of them.
        strangers: Option<PathBuf>,
    },
}

/// A false-alarm rate to promise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alpha {
    /// This rate.
    Rate(f64),
    /// The least that the calibration images support.
    Least,
}

/// What a fit may be told.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Name of the product or line, kept in the shelf.
    pub product: String,
    /// Dimensions and constants of the scores.
    pub method: Options,
    /// Which score.
    pub score: ScoreChoice,
    /// α of the reject point.
    pub reject: Alpha,
    /// α of the review point.
    pub review: Alpha,
    /// 1 − δ is the confidence in the promise.
    pub delta: f64,
    /// The kind of promise.
    pub guarantee: Guarantee,
    /// `None` for the smallest that keeps within [`TOLERANCE`](super::TOLERANCE).
    pub precision: Option<Precision>,
    /// Whether the ONNX file stays outside the shelf.
    pub detached: bool,
    /// What the device's processor must have: an architecture, or features as `/proc/cpuinfo` names them.
    pub needs: Vec<String>,
    /// Files that may be unusable.
    pub max_bad: u64,
    /// Threads; `None` for all cores.
    pub threads: Option<usize>,
    /// Whether a score times the largest logit is taken although logits are not all positive.
    pub allow_negative_logits: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            product: String::new(),
            method: Options::default(),
            score: ScoreChoice::Kinds(vec![ScoreKind::Neco]),
            reject: Alpha::Rate(0.001),
            review: Alpha::Rate(0.01),
            delta: 0.05,
            guarantee: Guarantee::Guaranteed,
            precision: None,
            detached: false,
            needs: Vec::new(),
            max_bad: 10,
            threads: None,
            allow_negative_logits: false,
        }
    }
}
