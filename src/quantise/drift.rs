//! How far the feature and the answer of one network are from another's.

use serde::Serialize;
use shelfwatch_core::predicted;

use crate::backbone::Activations;

/// Float against int8 over images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Images.
    pub images: u64,
    /// Images whose largest logit is the same; `None` without logits.
    pub agreeing: Option<u64>,
    /// Mean of ‖difference‖ / ‖float feature‖.
    pub relative: f64,
    /// √(Σ‖difference‖² / Σ‖float feature − its mean‖²): the noise in units of what the features differ by.
    pub scatter: f64,
    /// Mean cosine of both features.
    pub cosine: f64,
    /// Least cosine of both features.
    pub least_cosine: f64,
}

/// What both networks made of one image.
pub(super) struct Pair {
    feature: Vec<f32>,
    difference: f64,
    norm: f64,
    cosine: f64,
    agree: Option<bool>,
}

impl Pair {
    pub(super) fn new(float: Activations<'_>, other: Activations<'_>) -> Self {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let (f, o) = (float.feature, other.feature);
        let (norm, other_norm) = (dot(f, f).sqrt(), dot(o, o).sqrt());
        let difference = f.iter().zip(o).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        let cosine = if norm > 0.0 && other_norm > 0.0 { dot(f, o) / (norm * other_norm) } else { 1.0 };
        let agree = (!float.logits.is_empty()).then(|| predicted(float.logits) == predicted(other.logits));
        Self { feature: f.to_vec(), difference, norm, cosine, agree }
    }
}

/// Sums over images.
#[derive(Default)]
pub(super) struct Sums {
    images: u64,
    agreeing: Option<u64>,
    relative: f64,
    cosine: f64,
    least_cosine: Option<f64>,
    difference: f64,
    squares: f64,
    feature: Vec<f64>,
}

impl Sums {
    pub(super) fn add(&mut self, pair: &Pair) {
        self.images += 1;
        if let Some(agree) = pair.agree {
            *self.agreeing.get_or_insert(0) += u64::from(agree);
        }
        self.relative += if pair.norm > 0.0 { pair.difference.sqrt() / pair.norm } else { 0.0 };
        self.cosine += pair.cosine;
        self.least_cosine = Some(self.least_cosine.map_or(pair.cosine, |least| least.min(pair.cosine)));
        self.difference += pair.difference;
        self.squares += pair.norm * pair.norm;
        self.feature.resize(pair.feature.len(), 0.0);
        self.feature.iter_mut().zip(&pair.feature).for_each(|(sum, v)| *sum += f64::from(*v));
    }

    /// `None` without images.
    pub(super) fn drift(&self) -> Option<Drift> {
        let least_cosine = self.least_cosine?;
        let count = self.images as f64;
        let mean = self.feature.iter().map(|sum| (sum / count).powi(2)).sum::<f64>();
        let spread = (self.squares - count * mean).max(f64::MIN_POSITIVE);
        Some(Drift {
            images: self.images,
            agreeing: self.agreeing,
            relative: self.relative / count,
            scatter: (self.difference / spread).sqrt(),
            cosine: self.cosine / count,
            least_cosine,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Pair, Sums};
    use crate::backbone::Activations;

    #[test]
    fn drift_of_two_images_worked_by_hand() {
        let of = |feature, logits| Activations { feature, logits, map: None };
        let mut sums = Sums::default();
        assert!(sums.drift().is_none());
        sums.add(&Pair::new(of(&[3.0, 4.0], &[1.0, 2.0]), of(&[3.0, 4.0], &[0.0, 9.0])));
        sums.add(&Pair::new(of(&[0.0, 5.0], &[1.0, 2.0]), of(&[3.0, 5.0], &[3.0, 2.0])));
        let drift = sums.drift().unwrap();
        assert_eq!((drift.images, drift.agreeing), (2, Some(1)));
        assert!((drift.relative - 0.3).abs() < 1e-12);
        // Differences 0 and 3; the float features lie (±1.5, ∓0.5) from their mean.
        assert!((drift.scatter - (9.0_f64 / 5.0).sqrt()).abs() < 1e-9, "{}", drift.scatter);
        assert!((drift.least_cosine - 5.0 / 34.0_f64.sqrt()).abs() < 1e-12);
    }
}
