//! The result of an evaluation, as it is written to JSON (`docs/eval-json.md`).
//! Holds no NaN and no infinity: what cannot be computed is `None`.

use serde::Serialize;

use crate::evaluate::scored::{Call, CollapseFigures, Criteria, Fault, ShelfFacts};

/// `format` of the JSON.
pub const FORMAT: &str = "shelfwatch-eval";
/// `version` of the JSON; grows when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// Everything an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Always [`FORMAT`].
    pub format: &'static str,
    /// Always [`VERSION`].
    pub version: u32,
    /// The shelf that was evaluated.
    pub shelf: ShelfFacts,
    /// What counts as good enough.
    pub criteria: Criteria,
    /// The good images: rates are false alarms.
    pub id: SetFigures,
    /// The strangers, set by set: rates are escapes.
    pub ood: Vec<SetFigures>,
    /// All strangers together, when there are any.
    pub pooled: Option<SetFigures>,
    /// Edges of the histogram bins, one more than there are bins; the same for every set.
    pub bin_edges: Vec<f64>,
    /// How far the backbone is collapsed, when it was measured.
    pub collapse: Option<CollapseFigures>,
    /// The strangers that look most familiar, among those passed; most familiar first.
    pub worst_misses: Vec<Example>,
    /// The good images that look least familiar, among those flagged; least familiar first.
    pub worst_false_alarms: Vec<Example>,
    /// Images that could not be judged.
    pub faults: Vec<Fault>,
    /// Fit for use or not, and why.
    pub conclusion: Conclusion,
}

/// What one set of images shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetFigures {
    /// Name of the set.
    pub name: String,
    /// Images judged.
    pub images: u64,
    /// Images that could not be judged.
    pub faults: u64,
    /// Errors at the reject threshold: good images rejected, or strangers not rejected.
    pub reject: Rate,
    /// Errors at the review threshold: good images flagged at all, or strangers passed.
    pub review: Rate,
    /// The same by class folder or sub-folder, in the order of the names; empty where there are no folders.
    pub classes: Vec<ClassFigures>,
    /// Every score against the good images, the chosen one first; empty for the good images themselves.
    pub scores: Vec<ScoreFigures>,
    /// Scores that could not be compared, and why.
    pub left_out: Vec<LeftOut>,
    /// Chosen score: `[false-alarm rate, share of strangers caught]`, rising; empty for the good images.
    pub roc: Vec<[f64; 2]>,
    /// Images per bin of `bin_edges`; the first and last bin also hold what lies beyond.
    pub histogram: Vec<u64>,
    /// Images below the first edge.
    pub below: u64,
    /// Images above the last edge.
    pub above: u64,
}

/// A share of errors with its Clopper–Pearson bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Errors.
    pub count: u64,
    /// Images.
    pub of: u64,
    /// `count / of`; `None` without images.
    pub rate: Option<f64>,
    /// Lower bound, alone valid at confidence 1−δ.
    pub lower: f64,
    /// Upper bound, alone valid at confidence 1−δ.
    pub upper: f64,
}

/// Errors of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Name of the folder.
    pub class: String,
    /// Images of the class.
    pub images: u64,
    /// Errors at the reject threshold.
    pub reject: Rate,
    /// Errors at the review threshold.
    pub review: Rate,
}

/// One score on one set of strangers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreFigures {
    /// Name of the score.
    pub score: String,
    /// Whether it is the shelf's; then the figures are those of the device's own f32 scores.
    pub chosen: bool,
    /// Area under the ROC curve; 0.5 is chance.
    pub auroc: f64,
    /// Share of strangers passed when 5 % of the good images are flagged.
    pub fpr95: f64,
    /// Area under the precision–recall curve, strangers positive.
    pub aupr_out: f64,
    /// Area under the precision–recall curve, good images positive.
    pub aupr_in: f64,
    /// Share of strangers passed when the threshold is put, on these very good images, where it flags as
    /// many of them as the shelf's review threshold did. For comparing scores only.
    pub matched_escape: f64,
    /// Against the chosen score; `None` for the chosen one itself.
    pub contrast: Option<Contrast>,
}

/// The difference of two correlated AUROCs on the same images (`DeLong` et al. 1988).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// This score's AUROC minus the chosen score's.
    pub difference: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Whether the difference is at least 0.02 and more than three standard errors.
    pub clearly_better: bool,
}

/// A score that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Name of the score.
    pub score: String,
    /// Why it is not there.
    pub reason: String,
}

/// An image worth looking at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// The file.
    pub path: String,
    /// The set it belongs to.
    pub set: String,
    /// Its folder, if any.
    pub class: Option<String>,
    /// The class the backbone predicts, by name where known, else by index.
    pub predicted: Option<String>,
    /// The shelf's score.
    pub score: f32,
    /// Its p-value.
    pub p_value: f64,
    /// What the device decides.
    pub call: Call,
}

/// Whether the shelf may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fitness {
    /// The measured rates support the promise and the limit on escapes.
    Fit,
    /// The measured rates contradict the promise or the limit.
    Unfit,
    /// The images do not show either.
    NotShown,
}

/// The plain words at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conclusion {
    /// Whether the shelf may be used.
    pub fitness: Fitness,
    /// One or two sentences.
    pub sentence: String,
    /// What to do or to know; each a sentence.
    pub advice: Vec<String>,
}
