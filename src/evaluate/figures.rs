//! From scored images to the figures of an [`Evaluation`].
//! Never fails: an image whose score is not a number is a fault, and a figure that cannot be had is left out.

use shelfwatch_core::ScoreKind;

use crate::evaluate::conclusion::conclude;
use crate::evaluate::contrast::{contrast, sorted};
use crate::evaluate::curve;
use crate::evaluate::evaluation::{
    Conclusion, Evaluation, Example, FORMAT, Fitness, LeftOut, ScoreFigures, SetFigures, VERSION,
};
use crate::evaluate::rate::{Side, class_rates, rates};
use crate::evaluate::scored::{Call, CollapseFigures, Criteria, Fault, ImageSet, ScoredImage, ShelfFacts};
use crate::method::{auroc, average_precision, fpr95};

/// Examples kept on each list.
const EXAMPLES: usize = 12;
/// Name of all strangers together.
const POOLED: &str = "all strangers";

/// Draws every figure from the good images and the sets of strangers.
///
/// The result depends on the order of the images only in how ties on the lists of examples are broken.
pub fn evaluate(
    shelf: ShelfFacts,
    collapse: Option<CollapseFigures>,
    good: &ImageSet,
    strangers: &[ImageSet],
    criteria: Criteria,
) -> Evaluation {
    let mut faults = Vec::new();
    let id = Judged::new(good, &mut faults);
    let sets: Vec<Judged<'_>> = strangers.iter().map(|set| Judged::new(set, &mut faults)).collect();
    let thresholds = [f64::from(shelf.reject.threshold), f64::from(shelf.review.threshold)];
    let sorted_sets: Vec<Vec<f64>> = sets.iter().map(|set| sorted(&set.chosen())).collect();
    let edges = curve::bin_edges(&sorted(&id.chosen()), &sorted_sets, thresholds);
    let scene = Scene { shelf: &shelf, good: &id, edges: &edges, delta: criteria.delta };
    let id_figures = scene.describe(&id, Side::Good);
    let ood = sets.iter().map(|set| scene.compare(set, id_figures.review.count)).collect();
    let pooled = (!sets.is_empty()).then(|| {
        let all = Judged {
            name: POOLED,
            images: sets.iter().flat_map(|set| set.images.iter().copied()).collect(),
            faults: sets.iter().map(|set| set.faults).sum(),
        };
        scene.compare(&all, id_figures.review.count)
    });
    let worst_misses = scene.examples(&sets, |call| call == Call::Pass, |image| -image.chosen);
    let worst_false_alarms = scene.examples(std::slice::from_ref(&id), |call| call != Call::Pass, |image| image.chosen);
    let mut evaluation = Evaluation {
        format: FORMAT,
        version: VERSION,
        id: id_figures,
        ood,
        pooled,
        bin_edges: edges,
        collapse: collapse.map(finite),
        worst_misses,
        worst_false_alarms,
        faults,
        shelf,
        criteria,
        conclusion: Conclusion { fitness: Fitness::NotShown, sentence: String::new(), advice: Vec::new() },
    };
    evaluation.conclusion = conclude(&evaluation);
    evaluation
}

/// Without what is not finite.
fn finite(mut collapse: CollapseFigures) -> CollapseFigures {
    let keep = |x: Option<f64>| x.filter(|x| x.is_finite());
    collapse.nc1 = keep(collapse.nc1);
    collapse.nc2_equinorm = keep(collapse.nc2_equinorm);
    collapse.nc2_equiangular = keep(collapse.nc2_equiangular);
    collapse.effective_rank = keep(collapse.effective_rank);
    collapse.nc5.retain(|nc5| nc5.value.is_finite());
    collapse
}

/// A set without its faults.
struct Judged<'a> {
    name: &'a str,
    images: Vec<&'a ScoredImage>,
    faults: u64,
}

impl<'a> Judged<'a> {
    /// Takes the images with a finite score; the others go to `faults`, with those named by the set.
    fn new(set: &'a ImageSet, faults: &mut Vec<Fault>) -> Self {
        let before = faults.len();
        faults.extend(set.faults.iter().cloned());
        let mut images = Vec::with_capacity(set.images.len());
        for image in &set.images {
            if image.chosen.is_finite() {
                images.push(image);
            } else {
                faults.push(Fault {
                    set: set.name.clone(),
                    path: image.path.display().to_string(),
                    reason: "its score is not a finite number".to_owned(),
                });
            }
        }
        Self { name: &set.name, images, faults: (faults.len() - before) as u64 }
    }

    /// The device's scores.
    fn chosen(&self) -> Vec<f64> {
        self.images.iter().map(|image| f64::from(image.chosen)).collect()
    }

    /// One kind's scores, and how many images have none.
    fn kind(&self, index: usize) -> (Vec<f64>, usize) {
        let values: Vec<f64> = self
            .images
            .iter()
            .filter_map(|image| image.scores.get(index).copied().flatten())
            .filter(|score| !score.is_nan())
            .collect();
        let missing = self.images.len() - values.len();
        (values, missing)
    }
}

/// What every set is measured against.
struct Scene<'a> {
    shelf: &'a ShelfFacts,
    good: &'a Judged<'a>,
    edges: &'a [f64],
    delta: f64,
}

impl Scene<'_> {
    /// Rates, classes and histogram.
    fn describe(&self, set: &Judged<'_>, side: Side) -> SetFigures {
        let (reject, review) = rates(set.images.iter().copied(), side, self.delta);
        let (histogram, below, above) = curve::histogram(&set.chosen(), self.edges);
        SetFigures {
            name: set.name.to_owned(),
            images: set.images.len() as u64,
            faults: set.faults,
            reject,
            review,
            classes: class_rates(&set.images, side, self.delta),
            scores: Vec::new(),
            left_out: Vec::new(),
            roc: Vec::new(),
            histogram,
            below,
            above,
        }
    }

    /// The same for strangers, with every score against the good images.
    fn compare(&self, set: &Judged<'_>, alarms: u64) -> SetFigures {
        let mut figures = self.describe(set, Side::Stranger);
        let (id, ood) = (self.good.chosen(), set.chosen());
        figures.roc = curve::roc(&sorted(&id), &sorted(&ood));
        if id.is_empty() || ood.is_empty() {
            return figures;
        }
        figures.scores.push(score_figures(&self.shelf.score, &id, &ood, alarms));
        for (index, kind) in ScoreKind::ALL.into_iter().enumerate() {
            if self.shelf.single_kind() == Some(kind) {
                continue;
            }
            let (other_id, id_missing) = self.good.kind(index);
            let (other_ood, ood_missing) = set.kind(index);
            if other_id.is_empty() && other_ood.is_empty() {
                continue;
            }
            if id_missing + ood_missing > 0 {
                figures.left_out.push(LeftOut {
                    score: kind.name().to_owned(),
                    reason: format!(
                        "missing for {id_missing} of {} good images and {ood_missing} of {} strangers",
                        id.len(),
                        ood.len()
                    ),
                });
                continue;
            }
            let mut row = score_figures(kind.name(), &other_id, &other_ood, alarms);
            row.chosen = false;
            row.contrast = contrast((&other_id, &other_ood), (&id, &ood));
            figures.scores.push(row);
        }
        figures
    }

    /// The first few images whose call is `wanted`, by rising `rank`.
    fn examples(
        &self,
        sets: &[Judged<'_>],
        wanted: impl Fn(Call) -> bool,
        rank: impl Fn(&ScoredImage) -> f32,
    ) -> Vec<Example> {
        let mut found: Vec<(&str, &ScoredImage)> = sets
            .iter()
            .flat_map(|set| set.images.iter().map(|&image| (set.name, image)))
            .filter(|(_, image)| wanted(image.call))
            .collect();
        found.sort_by(|(_, a), (_, b)| rank(a).total_cmp(&rank(b)).then_with(|| a.path.cmp(&b.path)));
        found.truncate(EXAMPLES);
        let class_name =
            |index: usize| self.shelf.class_names.get(index).cloned().unwrap_or_else(|| format!("class {index}"));
        let example = |(set, image): (&str, &ScoredImage)| Example {
            path: image.path.display().to_string(),
            set: set.to_owned(),
            class: image.class.clone(),
            predicted: image.predicted.map(class_name),
            score: image.chosen,
            p_value: if image.p_value.is_finite() { image.p_value } else { 0.0 },
            call: image.call,
        };
        found.into_iter().map(example).collect()
    }
}

/// The figures of one score, marked as the chosen one. Neither side is empty.
fn score_figures(name: &str, id: &[f64], ood: &[f64], alarms: u64) -> ScoreFigures {
    ScoreFigures {
        score: name.to_owned(),
        chosen: true,
        auroc: auroc(id, ood),
        fpr95: fpr95(id, ood),
        aupr_out: average_precision(&negated(ood), &negated(id)),
        aupr_in: average_precision(id, ood),
        matched_escape: curve::matched_escape(&sorted(id), &sorted(ood), alarms),
        contrast: None,
    }
}

fn negated(scores: &[f64]) -> Vec<f64> {
    scores.iter().map(|score| -score).collect()
}
