//! What quantising may be told, with defaults.

use serde::Serialize;

/// How the range of an activation is taken from the values it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Calibration {
    /// From the least to the greatest value. Strangers reach further than good images, and a narrower range would hide
    /// by how far: of the three it keeps the order of scores best (docs/quantize.md).
    #[default]
    Minmax,
    /// Without the most extreme 0.01 % of the values.
    Percentile,
    /// The range with the least mean squared error of the rounded values.
    Mse,
}

/// Whether a treatment is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Apply {
    /// Where it moves the feature closer to that of the float network.
    #[default]
    Auto,
    /// In any case.
    On,
    /// Not at all.
    Off,
}

/// What quantising may be told.
#[derive(Clone, Debug)]
pub struct QuantiseOptions {
    /// How ranges are taken.
    pub calibration: Calibration,
    /// Cross-layer equalisation.
    pub equalise: Apply,
    /// Bias correction.
    pub correct: Apply,
    /// Most images to take ranges from, and most to report on.
    pub most: usize,
    /// Files that may be unusable.
    pub max_bad: u64,
    /// Threads; `None` for all cores.
    pub threads: Option<usize>,
}

impl Default for QuantiseOptions {
    fn default() -> Self {
        Self {
            calibration: Calibration::default(),
            equalise: Apply::Auto,
            correct: Apply::Auto,
            most: 500,
            max_bad: 10,
            threads: None,
        }
    }
}
