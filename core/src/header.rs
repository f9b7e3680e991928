//! The header of a shelf: everything about it that is not a long row of numbers. Refuses values out of range.

use serde::{Deserialize, Serialize};

use crate::ScoreKind;

/// The most scores that may be added into one.
pub const MAX_TERMS: usize = 3;

/// The most cells of a feature map: whoever makes room for a heat map need not fear what the file says.
const MAX_CELLS: u32 = 1 << 20;

/// What the shelf says of itself, in postcard, borrowed from the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// Name of the product or line.
    pub product: &'a str,
    /// Version of the program that wrote the file.
    pub written_by: &'a str,
    /// The backbone that the numbers belong to.
    #[serde(borrow)]
    pub backbone: BackboneFacts<'a>,
    /// The preprocess recipe, as TOML.
    pub recipe: &'a str,
    /// Lengths of the vectors.
    pub dims: Dims,
    /// The score: one term, or the sum of several.
    pub terms: heapless::Vec<Term, MAX_TERMS>,
    /// Constants of the single scores.
    pub constants: Constants,
    /// Below this score a part is rejected by itself.
    pub reject: OperatingPoint,
    /// Below this score a person looks.
    pub review: OperatingPoint,
    /// The full scale of heat maps: a value that the maps of good images seldom pass.
    pub heat_scale: f32,
    /// Where the numbers come from.
    pub evidence: Evidence<'a>,
    /// Names of the logits' classes in order, one a line; empty where they are not known.
    pub class_names: &'a str,
}

/// Which backbone, and where in it the vectors are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackboneFacts<'a> {
    /// SHA-256 of the ONNX file.
    pub sha256: [u8; 32],
    /// Length of the ONNX file in bytes.
    pub length: u64,
    /// Tensor name of the feature.
    pub feature: &'a str,
    /// Tensor name of the logits.
    pub logits: Option<&'a str>,
    /// Tensor name of the feature map.
    pub map: Option<&'a str>,
}

/// Lengths of the vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dims {
    /// D, values in a feature.
    pub feature: u32,
    /// C, logits; 0 where the backbone has none.
    pub classes: u32,
    /// d, components of the projection.
    pub components: u32,
    /// Rows and columns of the feature map.
    pub map: Option<[u32; 2]>,
}

/// One score in the sum `Σ weight · (score − offset)`. A single score has offset 0 and weight 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Which score.
    pub kind: ScoreKind,
    /// Its mean on calibration images, or 0.
    pub offset: f32,
    /// One over its standard deviation there, or 1.
    pub weight: f32,
}

/// Constants of the single scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constants {
    /// γ of GEN.
    pub gen_gamma: f32,
    /// M of GEN: how many of the largest probabilities enter.
    pub gen_top: u32,
    /// k of KNN.
    pub knn_k: u32,
    /// α of `ViM`.
    pub vim_alpha: f32,
    /// α of NCI.
    pub nci_alpha: f32,
}

/// How a threshold was taken from the calibration scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guarantee {
    /// P(false-alarm rate ≤ α) ≥ 1 − δ.
    Guaranteed,
    /// E\[false-alarm rate\] ≤ α.
    Marginal,
}

/// A threshold with the promise that comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// An image alarms iff its score is strictly below this.
    pub threshold: f32,
    /// α, the promised false-alarm rate.
    pub alpha: f64,
    /// 1 − δ is the confidence in the promise.
    pub delta: f64,
    /// The threshold is the k-th smallest calibration score.
    pub k: u64,
    /// Upper bound of the false-alarm rate at confidence 1 − δ: `BetaInv(1−δ; k, n+1−k)`.
    pub bound: f64,
}

/// Where the numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// Images that mean and projection were fitted on.
    pub fit_images: u64,
    /// n, images that the thresholds were taken from; none of them was fitted on.
    pub calibration_images: u64,
    /// Files that could not be read.
    pub bad_images: u64,
    /// Share of the variance that the projection keeps.
    pub explained_variance: f32,
    /// The kind of promise behind the operating points.
    pub guarantee: Guarantee,
    /// How the images were split.
    pub split: &'a str,
    /// Why this score was taken.
    pub choice: &'a str,
    /// SHA-256 of the statistics file that belongs to the shelf.
    pub statistics_sha256: [u8; 32],
}

impl Header<'_> {
    /// Whether every value is in its range.
    pub(crate) fn is_sound(&self) -> bool {
        let d = self.dims;
        let dims = d.feature > 0 && d.components <= d.feature;
        let map = d.map.is_none_or(|[rows, columns]| {
            rows.checked_mul(columns).is_some_and(|cells| (1..=MAX_CELLS).contains(&cells))
        });
        let terms = !self.terms.is_empty()
            && self.terms.iter().all(|term| {
                term.offset.is_finite()
                    && term.weight.is_finite()
                    && term.weight > 0.0
                    && (d.classes > 0 || !term.kind.needs_logits())
            });
        let c = self.constants;
        let constants = c.gen_gamma.is_finite() && c.vim_alpha.is_finite() && c.nci_alpha.is_finite();
        let n = self.evidence.calibration_images;
        let points = [self.reject, self.review].iter().all(|point| {
            point.threshold.is_finite()
                && (0.0..=1.0).contains(&point.alpha)
                && (0.0..=1.0).contains(&point.delta)
                && (0.0..=1.0).contains(&point.bound)
                && (1..=n).contains(&point.k)
        }) && self.reject.threshold <= self.review.threshold;
        dims && map && terms && constants && points && self.heat_scale.is_finite() && self.heat_scale > 0.0
    }

    /// Names of the logits' classes in order; empty where they are not known.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.class_names.lines()
    }
}
