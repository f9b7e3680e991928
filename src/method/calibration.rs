//! Thresholds with a promised false-alarm rate, from scores of good images that did not take part in the fit.
//! Refuses a rate that so few images cannot promise, and says how many would.

use thiserror::Error;

use super::binomial::{beta_quantile, upper_tail};

/// What a threshold promises about the rate at which good images alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// With probability `1 − delta` over the calibration images, the rate is at most α.
    Guaranteed {
        /// Chance that the promise fails.
        delta: f64,
    },
    /// On average over the calibration images, the rate is at most α. `delta` is that of the bounds printed.
    Marginal {
        /// Chance that the rate lies beyond the bound.
        delta: f64,
    },
}

impl Rule {
    /// δ of the promise or of the bounds.
    pub fn delta(self) -> f64 {
        match self {
            Self::Guaranteed { delta } | Self::Marginal { delta } => delta,
        }
    }
}

/// Why there is no threshold.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CalibrationError {
    /// No score.
    #[error("there is no calibration image; give good images that the fit does not use")]
    NoScores,
    /// NaN or infinity among the scores.
    #[error("calibration score {index} is {score}; check the features of that image")]
    NotFinite {
        /// Position.
        index: usize,
        /// The value.
        score: f64,
    },
    /// α or δ outside (0, 1).
    #[error("{what} = {value} is outside (0, 1); choose for example {example}")]
    Range {
        /// `alpha` or `delta`.
        what: &'static str,
        /// The value.
        value: f64,
        /// One that works.
        example: f64,
    },
    /// Too few images for this α under the guarantee.
    #[error(
        "{images} calibration images support α ≥ {} at δ = {delta}; α = {alpha} needs {need}, {} more",
        rounded_up(*supported), need - images
    )]
    TooFew {
        /// Calibration images.
        images: u64,
        /// α asked for.
        alpha: f64,
        /// δ asked for.
        delta: f64,
        /// Least α that the images support.
        supported: f64,
        /// Images that α needs.
        need: u64,
    },
    /// Too few images for this α under the marginal rule.
    #[error(
        "{images} calibration images support α ≥ {} on average; α = {alpha} needs {need}, {} more",
        rounded_up(*supported), need - images
    )]
    TooFewMarginal {
        /// Calibration images.
        images: u64,
        /// α asked for.
        alpha: f64,
        /// Least α that the images support.
        supported: f64,
        /// Images that α needs.
        need: u64,
    },
}

/// A threshold and what is known of it. An image alarms iff its score is strictly below `value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// `t = s_(k)`.
    pub value: f64,
    /// k, from 1.
    pub rank: u64,
    /// Calibration images, n.
    pub images: u64,
    /// The rate asked for.
    pub alpha: f64,
    /// What it promises.
    pub rule: Rule,
    /// `BetaInv(1−δ; k, n+1−k)`: with probability 1−δ the false-alarm rate is no higher.
    pub upper: f64,
    /// `BetaInv(δ; k, n+1−k)`: with probability 1−δ it is no lower, if scores do not tie.
    pub lower: f64,
}

impl Threshold {
    /// Whether an image of that score alarms; NaN does.
    pub fn alarms(&self, score: f64) -> bool {
        score < self.value || score.is_nan()
    }
}

/// The sorted scores of calibration images.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    scores: Vec<f64>,
}

impl Calibration {
    /// Sorts the scores.
    ///
    /// # Errors
    /// No score, or one that is not finite.
    pub fn new(mut scores: Vec<f64>) -> Result<Self, CalibrationError> {
        if scores.is_empty() {
            return Err(CalibrationError::NoScores);
        }
        if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
            return Err(CalibrationError::NotFinite { index, score: scores[index] });
        }
        scores.sort_by(f64::total_cmp);
        Ok(Self { scores })
    }

    /// The scores, ascending.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Calibration images, n.
    pub fn images(&self) -> u64 {
        self.scores.len() as u64
    }

    /// The threshold for false-alarm rate `alpha`.
    ///
    /// # Errors
    /// α or δ outside (0, 1), or an α that the images cannot support.
    pub fn threshold(&self, alpha: f64, rule: Rule) -> Result<Threshold, CalibrationError> {
        let delta = rule.delta();
        for (what, value, example) in [("alpha", alpha, 0.01), ("delta", delta, 0.05)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(CalibrationError::Range { what, value, example });
            }
        }
        let images = self.images();
        let rank = match rule {
            Rule::Guaranteed { .. } => guaranteed_rank(images, alpha, delta).ok_or_else(|| CalibrationError::TooFew {
                images,
                alpha,
                delta,
                supported: least_alpha(images, delta),
                need: least_images(alpha, delta),
            }),
            Rule::Marginal { .. } => marginal_rank(images, alpha).ok_or_else(|| CalibrationError::TooFewMarginal {
                images,
                alpha,
                supported: 1.0 / (images + 1) as f64,
                need: marginal_least_images(alpha),
            }),
        }?;
        let value = self.scores[rank as usize - 1];
        let (upper, lower) = (beta_quantile(1.0 - delta, rank, images), beta_quantile(delta, rank, images));
        Ok(Threshold { value, rank, images, alpha, rule, upper, lower })
    }

    /// `(1 + #{s_i ≤ s}) / (n + 1)`: how usual a score is among good images.
    pub fn p_value(&self, score: f64) -> f64 {
        let below = self.scores.partition_point(|other| *other <= score);
        (1 + below) as f64 / (self.scores.len() + 1) as f64
    }
}

/// The largest k with `P(Bin(images, alpha) ≥ k) ≥ 1 − delta`; `None` if that is 0.
pub fn guaranteed_rank(images: u64, alpha: f64, delta: f64) -> Option<u64> {
    let holds = |k: u64| upper_tail(images, alpha, k) >= 1.0 - delta;
    // The tail falls in k: bisect between a k that holds and one that does not.
    let (mut low, mut high) = (0, images + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low > 0).then_some(low)
}

/// The fewest images that support `alpha`: `⌈ln δ / ln(1−α)⌉`.
pub fn least_images(alpha: f64, delta: f64) -> u64 {
    let estimate = (delta.ln() / (-alpha).ln_1p()).ceil().max(1.0) as u64;
    // The quotient may round across a whole number.
    let enough = |images: u64| upper_tail(images, alpha, 1) >= 1.0 - delta;
    (estimate.saturating_sub(1).max(1)..=estimate).find(|images| enough(*images)).unwrap_or(estimate + 1)
}

/// The least α that `images` support: `1 − δ^{1/n}`.
pub fn least_alpha(images: u64, delta: f64) -> f64 {
    -(delta.ln() / images as f64).exp_m1()
}

/// `⌊(n+1)α⌋`, or `None` if that is 0.
pub fn marginal_rank(images: u64, alpha: f64) -> Option<u64> {
    let product = (images + 1) as f64 * alpha;
    // 0.05 · 20 must count as 1 although neither is exact in binary.
    let rank = (product * (1.0 + 4.0 * f64::EPSILON)).floor() as u64;
    (rank > 0).then_some(rank.min(images))
}

/// The fewest images that support `alpha` on average: `⌈1/α⌉ − 1`.
pub fn marginal_least_images(alpha: f64) -> u64 {
    ((1.0 / alpha) * (1.0 - 4.0 * f64::EPSILON)).ceil().max(2.0) as u64 - 1
}

/// Three significant digits, rounded up, so that the α named is supported.
fn rounded_up(alpha: f64) -> f64 {
    let unit = 10.0_f64.powi(2 - alpha.log10().floor() as i32);
    (alpha * unit).ceil() / unit
}

#[cfg(test)]
mod tests {
    use super::{Calibration, Rule, guaranteed_rank, least_alpha, least_images, marginal_least_images, marginal_rank};

    const GUARANTEED: Rule = Rule::Guaranteed { delta: 0.05 };

    #[test]
    fn least_images_are_those_of_the_method() {
        assert_eq!([0.05, 0.01, 0.001].map(|alpha| least_images(alpha, 0.05)), [59, 299, 2995]);
        assert_eq!((guaranteed_rank(58, 0.05, 0.05), guaranteed_rank(59, 0.05, 0.05)), (None, Some(1)));
        assert_eq!((guaranteed_rank(2994, 0.001, 0.05), guaranteed_rank(2995, 0.001, 0.05)), (None, Some(1)));
        assert_eq!(guaranteed_rank(117, least_alpha(117, 0.05) + 1e-12, 0.05), Some(1));
        assert_eq!(guaranteed_rank(117, least_alpha(117, 0.05) - 1e-12, 0.05), None);
    }

    #[test]
    fn marginal_ranks() {
        assert_eq!((marginal_rank(18, 0.05), marginal_rank(19, 0.05)), (None, Some(1)));
        assert_eq!([0.05, 0.01, 0.001, 0.3].map(marginal_least_images), [19, 99, 999, 3]);
        assert_eq!((marginal_rank(999, 0.001), marginal_rank(998, 0.001)), (Some(1), None));
    }

    #[test]
    fn refusal_says_what_is_supported_and_what_is_needed() {
        let calibration = Calibration::new((0..117).map(f64::from).collect()).unwrap();
        assert_eq!(
            calibration.threshold(0.001, GUARANTEED).unwrap_err().to_string(),
            "117 calibration images support α ≥ 0.0253 at δ = 0.05; α = 0.001 needs 2995, 2878 more"
        );
        assert!(calibration.threshold(0.0253, GUARANTEED).is_ok());
        assert!(
            calibration.threshold(0.001, Rule::Marginal { delta: 0.05 }).unwrap_err().to_string().contains("882 more")
        );
        assert!(calibration.threshold(f64::NAN, GUARANTEED).is_err());
        assert!(calibration.threshold(0.1, Rule::Guaranteed { delta: 0.0 }).is_err());
    }

    #[test]
    fn threshold_is_strict_and_bounded() {
        let calibration = Calibration::new((0..1000).rev().map(f64::from).collect()).unwrap();
        let threshold = calibration.threshold(0.05, GUARANTEED).unwrap();
        assert_eq!(threshold.value.to_bits(), calibration.scores()[threshold.rank as usize - 1].to_bits());
        assert!(
            !threshold.alarms(threshold.value)
                && threshold.alarms(threshold.value - 1e-9)
                && threshold.alarms(f64::NAN)
        );
        assert!(threshold.upper <= 0.05 && threshold.lower < threshold.upper);
        let next = super::beta_quantile(0.95, threshold.rank + 1, 1000);
        assert!(next > 0.05, "one more would break the promise: {next}");
        assert!(Calibration::new(vec![]).is_err() && Calibration::new(vec![0.0, f64::NAN]).is_err());
    }

    #[test]
    fn p_values_count_ties_as_usual() {
        let calibration = Calibration::new(vec![1.0, 2.0, 2.0, 3.0]).unwrap();
        let p = |score| calibration.p_value(score);
        assert_eq!([p(0.0), p(1.0), p(2.0), p(9.0)], [0.2, 0.4, 0.8, 1.0]);
    }
}
