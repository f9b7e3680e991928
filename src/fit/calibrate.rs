//! The calibration images: their vectors, the norms of every score on them, and the thresholds they support.

use std::collections::BTreeMap;
use std::path::Path;

use shelfwatch_core::{Guarantee, OperatingPoint, ScoreKind, Shelf, predicted};

use crate::backbone::Backbone;
use crate::fit::choice::{self, Choice, Norms};
use crate::fit::error::FitError;
use crate::fit::pass::Passes;
use crate::fit::spool::Spool;
use crate::fit::strangers;
use crate::fit::{Alpha, FitOptions};
use crate::image_folder::ImageEntry;
use crate::method::{Calibration, Parameters, Rule, Scores, least_alpha};

/// The most calibration images whose scores `--score auto` compares strangers with.
const COMPARED: usize = 2000;

/// What is known of the calibration images.
pub(super) struct Calibrating {
    pub(super) spool: Spool,
    pub(super) norms: Norms,
    /// Indices, in the list of entries, of the images in the spool, and their file keys.
    pub(super) kept: Vec<(usize, u64)>,
    /// Images with a largest logit ≤ 0.
    pub(super) not_positive: u64,
    good: Vec<Scores>,
    heat_peaks: Vec<f32>,
    /// How often each logit won in each class folder.
    votes: BTreeMap<(usize, String), u32>,
}

impl Calibrating {
    /// Takes the vectors of the calibration images.
    pub(super) fn gather(
        passes: &mut Passes<'_>,
        parameters: &Parameters,
        images: &[ImageEntry],
        backbone: &Backbone,
    ) -> Result<Self, FitError> {
        let mut found = Self {
            spool: Spool::new(backbone.dim(), backbone.classes())?,
            norms: Norms::default(),
            kept: Vec::new(),
            not_positive: 0,
            good: Vec::new(),
            heat_peaks: Vec::new(),
            votes: BTreeMap::new(),
        };
        let more = |activations: &crate::backbone::Activations<'_>| {
            let peak = activations.map.and_then(|map| {
                let heat = parameters.neco.heat_map(map).ok()?;
                Some(heat.iter().fold(0.0_f64, |peak, value| peak.max(value.abs())) as f32)
            });
            Ok((peak, parameters.scores(activations.feature, activations.logits)))
        };
        passes.run("calibrate", images, true, more, |i, taken| {
            let (peak, scores) = taken.more;
            let scores = scores?;
            found.norms.add(&scores);
            if found.good.len() < COMPARED {
                found.good.push(scores);
            }
            found.heat_peaks.extend(peak);
            if let Some(top) = taken.logits.iter().copied().reduce(f32::max) {
                found.not_positive += u64::from(top <= 0.0);
                if let Some(folder) = images[i].class_folder() {
                    *found.votes.entry((predicted(&taken.logits), folder.to_owned())).or_default() += 1;
                }
            }
            found.kept.push((i, taken.key));
            Ok(found.spool.push(&taken.feature, &taken.logits)?)
        })?;
        if found.spool.len() == 0 {
            return Err(FitError::NoImages { purpose: "calibrate with" });
        }
        Ok(found)
    }

    /// Chooses a score by strangers, real or made.
    pub(super) fn choose(
        &self,
        passes: &mut Passes<'_>,
        folder: Option<&Path>,
        images: &[ImageEntry],
        parameters: &Parameters,
        allowed: &dyn Fn(ScoreKind) -> bool,
    ) -> Result<Choice, FitError> {
        let (groups, origin) = match folder {
            Some(folder) => (strangers::real(passes, folder, parameters)?, "the strangers given"),
            None => (strangers::made(passes, images, parameters)?, "strangers made from good images"),
        };
        Ok(choice::choose(&self.good, &groups, &self.norms, allowed, origin))
    }

    /// The scores that a device will compute with this shelf, in the order of the images.
    pub(super) fn device_scores(&mut self, shelf: &[u8]) -> Result<Vec<f32>, FitError> {
        let shelf = Shelf::parse(shelf)?;
        let mut scratch = vec![0.0; shelf.scratch_len()];
        let mut scores = Vec::with_capacity(self.spool.len());
        self.spool.each(|_, feature, logits| {
            scores.push(shelf.score(feature, logits, &mut scratch)?);
            Ok::<(), FitError>(())
        })?;
        Ok(scores)
    }

    /// The value that one in a hundred calibration images passes somewhere in its heat map.
    pub(super) fn heat_scale(&self) -> f32 {
        let mut peaks = self.heat_peaks.clone();
        peaks.sort_by(f32::total_cmp);
        let at = (peaks.len() * 99 / 100).min(peaks.len().saturating_sub(1));
        peaks.get(at).copied().filter(|peak| *peak > 0.0 && peak.is_finite()).unwrap_or(1.0)
    }

    /// Names of the logits in order, one a line: the folder whose images most often win that logit, `?` where none does.
    /// Empty where there are no folders.
    pub(super) fn class_names(&self, classes: usize) -> String {
        let name = |logit: usize| {
            let of_logit = self.votes.iter().filter(|((won, _), _)| *won == logit);
            let folder = of_logit.max_by_key(|(_, count)| **count).map(|((_, folder), _)| folder.replace('\n', " "));
            folder.unwrap_or_else(|| "?".to_owned())
        };
        if self.votes.is_empty() {
            return String::new();
        }
        (0..classes).map(name).collect::<Vec<_>>().join("\n")
    }
}

/// The two operating points.
pub(super) struct Promise {
    pub(super) reject: OperatingPoint,
    pub(super) review: OperatingPoint,
}

impl Promise {
    /// Refuses, before any image is read, rates that so many images cannot support.
    pub(super) fn check(images: usize, options: &FitOptions) -> Result<(), FitError> {
        // The thresholds themselves do not matter here; any scores will do.
        let scores: Vec<f32> = (0..images).map(|i| i as f32).collect();
        Self::keep(&scores, options).map(|_| ())
    }

    /// Takes both thresholds from the calibration scores.
    pub(super) fn keep(scores: &[f32], options: &FitOptions) -> Result<Self, FitError> {
        let calibration = Calibration::new(scores.iter().map(|score| f64::from(*score)).collect())?;
        let rule = match options.guarantee {
            Guarantee::Guaranteed => Rule::Guaranteed { delta: options.delta },
            Guarantee::Marginal => Rule::Marginal { delta: options.delta },
        };
        let least = least(calibration.images(), rule);
        let rate = |alpha: Alpha| match alpha {
            Alpha::Rate(rate) => rate,
            Alpha::Least => least,
        };
        let (reject, mut review) = (rate(options.reject), rate(options.review));
        if options.review == Alpha::Least {
            review = review.max(reject);
        }
        if review < reject {
            return Err(FitError::Order { review, reject });
        }
        let point = |alpha: f64| -> Result<OperatingPoint, FitError> {
            let threshold = calibration.threshold(alpha, rule)?;
            let (k, bound) = (threshold.rank, threshold.upper);
            Ok(OperatingPoint { threshold: threshold.value as f32, alpha, delta: options.delta, k, bound })
        };
        Ok(Self { reject: point(reject)?, review: point(review)? })
    }
}

/// The least rate that the images support, rounded up to four digits, so that it reads well and still holds.
fn least(images: u64, rule: Rule) -> f64 {
    let least = match rule {
        Rule::Guaranteed { delta } => least_alpha(images, delta),
        Rule::Marginal { .. } => 1.0 / (images + 1) as f64,
    };
    let unit = 10.0_f64.powi(3 - least.log10().floor() as i32);
    ((least * unit).ceil() / unit).min(0.999)
}
