//! What goes into an evaluation: sets of images with their scores, and what the shelf promised.
//! Nothing is read or scored here; an image that could not be read is a [`Fault`], never a low score.

use std::path::PathBuf;

use serde::Serialize;
use shelfwatch_core::ScoreKind;

use crate::method::Collapse;

/// What the device says of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// Familiar: at or above both thresholds.
    Pass,
    /// Below the review threshold: a person looks.
    Review,
    /// Below the reject threshold: the station acts by itself.
    Reject,
}

impl Call {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Review => "review",
            Self::Reject => "reject",
        }
    }
}

/// One score per [`ScoreKind`], in the order of [`ScoreKind::ALL`]; `None` where a kind is not offered.
pub type ScoreRow = [Option<f64>; ScoreKind::ALL.len()];

/// One image after the device's own path has scored it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredImage {
    /// Where the image came from.
    pub path: PathBuf,
    /// Name of the class folder (good images) or sub-folder (strangers), if there is one.
    pub class: Option<String>,
    /// Index of the class the backbone predicts, if it has a classifier.
    pub predicted: Option<usize>,
    /// Every score offered, in f64. Low means unfamiliar.
    pub scores: ScoreRow,
    /// The shelf's own score as the device computes it. Low means unfamiliar.
    pub chosen: f32,
    /// `(1 + #{calibration scores ≤ chosen}) / (n + 1)`, in (0, 1].
    pub p_value: f64,
    /// What the device decides at the shelf's thresholds.
    pub call: Call,
}

/// An image that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Name of the set it belongs to.
    pub set: String,
    /// The file.
    pub path: String,
    /// What was wrong with it.
    pub reason: String,
}

/// A named set of images: the good ones, or one kind of strangers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageSet {
    /// Name shown in the report.
    pub name: String,
    /// The images that were scored.
    pub images: Vec<ScoredImage>,
    /// The images that were not.
    pub faults: Vec<Fault>,
}

/// A threshold of the shelf and what was promised when it was calibrated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Promised false-alarm rate.
    pub alpha: f64,
    /// The promise may fail with at most this probability.
    pub delta: f64,
    /// Calibration images.
    pub n: u64,
    /// The threshold is the k-th smallest calibration score, k from 1.
    pub k: u64,
    /// An image alarms when its score is strictly below.
    pub threshold: f32,
    /// Upper bound of the false-alarm rate at confidence 1−δ, from the calibration images.
    pub bound: f64,
}

/// What the report says of the shelf.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShelfFacts {
    /// Name of the product or line.
    pub product: String,
    /// The chosen score: one kind, or several joined by `+`.
    pub score: String,
    /// The kinds that the chosen score is made of.
    #[serde(serialize_with = "kind_names")]
    pub kinds: Vec<ScoreKind>,
    /// Length D of the feature.
    pub feature_dim: u64,
    /// Principal components kept, d.
    pub kept_dim: u64,
    /// Names of the backbone's classes, by index; may be empty.
    pub class_names: Vec<String>,
    /// The threshold below which the station acts by itself.
    pub reject: OperatingPoint,
    /// The threshold below which a person looks.
    pub review: OperatingPoint,
    /// More facts for the head of the report, as name and value (backbone, recipe, provenance).
    pub more: Vec<(String, String)>,
}

impl ShelfFacts {
    /// The kind, when the chosen score is a single one.
    pub fn single_kind(&self) -> Option<ScoreKind> {
        match self.kinds.as_slice() {
            [kind] => Some(*kind),
            _ => None,
        }
    }
}

fn kind_names<S: serde::Serializer>(kinds: &[ScoreKind], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(kinds.iter().map(|kind| kind.name()))
}

/// How far the backbone's features are collapsed; measured elsewhere and passed through.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CollapseFigures {
    /// `tr(Σ_W Σ_B†)/C`: spread within classes against spread between them; 0 is full collapse.
    pub nc1: Option<f64>,
    /// `std_c‖μ_c−μ_G‖ / mean_c‖μ_c−μ_G‖`: 0 when all classes lie equally far from the mean.
    pub nc2_equinorm: Option<f64>,
    /// `mean_{c≠c'} |cos(μ_c−μ_G, μ_c'−μ_G) + 1/(C−1)|`: 0 when all angles are equal.
    pub nc2_equiangular: Option<f64>,
    /// `mean_c |cos(μ_c, μ_OOD)|` for each set of strangers: 0 when they are orthogonal to the classes.
    pub nc5: Vec<Nc5>,
    /// Effective rank of the feature covariance.
    pub effective_rank: Option<f64>,
    /// Channels that never vary.
    pub dead_channels: u64,
    /// What the figures mean, in plain words.
    pub words: Vec<String>,
}

impl CollapseFigures {
    /// From the fit's diagnostics and the NC5 of each set of strangers.
    pub fn new(collapse: &Collapse, nc5: Vec<Nc5>) -> Self {
        Self {
            nc1: collapse.nc1,
            nc2_equinorm: collapse.equinorm,
            nc2_equiangular: collapse.equiangular,
            nc5,
            effective_rank: Some(collapse.effective_rank),
            dead_channels: collapse.dead_channels.len() as u64,
            words: vec![collapse.plain()],
        }
    }
}

/// NC5 of one set of strangers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nc5 {
    /// Name of the set.
    pub set: String,
    /// `mean_c |cos(μ_c, μ_OOD)|`, in [0, 1].
    pub value: f64,
}

/// What counts as good enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Criteria {
    /// Largest share of strangers that may pass the review threshold.
    pub max_escape: f64,
    /// Each bound of a measured rate holds with confidence 1−δ.
    pub delta: f64,
}

impl Default for Criteria {
    /// One stranger in ten may pass; bounds at 95 %.
    fn default() -> Self {
        Self { max_escape: 0.10, delta: 0.05 }
    }
}
