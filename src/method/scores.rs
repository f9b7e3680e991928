//! Every score of an image from its feature and logits, in f64. Low means unfamiliar.

use shelfwatch_core::ScoreKind;

use super::error::{MethodError, require_finite, require_length};
use super::parameters::{LinearHead, Parameters};
use super::vector::{difference, dot, normalised, squared_distance, widened};

/// One value per score that the parameters offer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores([Option<f64>; ScoreKind::ALL.len()]);

impl Scores {
    /// The score of that kind, or `None` where the parameters do not offer it.
    pub fn get(&self, kind: ScoreKind) -> Option<f64> {
        self.0[kind as usize]
    }
}

impl Parameters {
    /// Whether `scores` gives a value for that kind.
    pub fn offers(&self, kind: ScoreKind) -> bool {
        let logits = self.logits > 0 || !kind.needs_logits();
        logits
            && match kind {
                ScoreKind::Residual => self.vim.is_some(),
                ScoreKind::Vim => self.vim.as_ref().is_some_and(|vim| vim.alpha.is_some()),
                ScoreKind::Mahalanobis => self.mahalanobis.is_some(),
                ScoreKind::MahalanobisPp => self.mahalanobis_pp.is_some(),
                ScoreKind::Knn => self.bank.is_some(),
                ScoreKind::Nci => self.head.is_some(),
                ScoreKind::Fdbd => self.head.is_some() && self.logits > 1,
                _ => true,
            }
    }

    /// All scores of one image.
    ///
    /// # Errors
    /// A wrong length, or a value that is not finite.
    pub fn scores(&self, feature: &[f32], logits: &[f32]) -> Result<Scores, MethodError> {
        require_length("feature", self.dim, feature.len())?;
        require_length("logits", self.logits, logits.len())?;
        require_finite("feature", feature)?;
        require_finite("logits", logits)?;
        let (feature, logits) = (widened(feature), widened(logits));
        let mut scores = [None; ScoreKind::ALL.len()];
        for kind in ScoreKind::ALL.into_iter().filter(|kind| self.offers(*kind)) {
            scores[kind as usize] = self.score(kind, &feature, &logits);
        }
        let factor = |kind: ScoreKind| Some(scores[kind as usize]? * largest(&logits)?.1);
        let (neco_ml, neco_std_ml) = (factor(ScoreKind::Neco), factor(ScoreKind::NecoStd));
        scores[ScoreKind::NecoMl as usize] = neco_ml;
        scores[ScoreKind::NecoStdMl as usize] = neco_std_ml;
        let residual = scores[ScoreKind::Residual as usize];
        let alpha = self.vim.as_ref().and_then(|vim| vim.alpha);
        scores[ScoreKind::Vim as usize] = residual
            .zip(alpha)
            .filter(|_| !logits.is_empty())
            .map(|(residual, alpha)| energy(&logits) + alpha * residual);
        Ok(Scores(scores))
    }

    /// A score that needs no other; those that build on one are filled in by `scores`.
    fn score(&self, kind: ScoreKind, feature: &[f64], logits: &[f64]) -> Option<f64> {
        match kind {
            ScoreKind::Msp => largest(logits).map(|(_, top)| (top - energy(logits)).exp()),
            ScoreKind::MaxLogit => largest(logits).map(|(_, top)| top),
            ScoreKind::Energy => Some(energy(logits)),
            ScoreKind::Gen => Some(generalised_entropy(logits, self.gen_gamma, self.gen_top)),
            ScoreKind::Neco => Some(self.neco.ratio(feature)),
            ScoreKind::NecoStd => Some(self.neco_std.ratio(feature)),
            ScoreKind::Residual => self.vim.as_ref().map(|vim| -vim.residual(feature)),
            ScoreKind::Mahalanobis => self.mahalanobis.as_ref().map(|gaussian| gaussian.score(feature)),
            ScoreKind::MahalanobisPp => {
                self.mahalanobis_pp.as_ref().map(|gaussian| gaussian.score(&normalised(feature)))
            }
            ScoreKind::Knn => self.bank.as_ref().map(|bank| bank.score(feature)),
            ScoreKind::Nci => self.head.as_ref().and_then(|head| self.collapse_proximity(head, feature, logits)),
            ScoreKind::Fdbd => self.head.as_ref().and_then(|head| self.boundary_distance(head, feature, logits)),
            ScoreKind::NecoMl | ScoreKind::NecoStdMl | ScoreKind::Vim => None,
        }
    }

    /// `w_ŷᵀ(h−μ)/‖h−μ‖ + α‖h‖₁` (Liu and Qin 2025); the first term is 0 where h is the mean.
    fn collapse_proximity(&self, head: &LinearHead, feature: &[f64], logits: &[f64]) -> Option<f64> {
        let (top, _) = largest(logits)?;
        let centred = difference(feature, self.mean());
        let norm = dot(&centred, &centred).sqrt();
        let proximity = if norm > 0.0 { dot(&head.rows[top], &centred) / norm } else { 0.0 };
        Some(proximity + self.nci_alpha * feature.iter().map(|value| value.abs()).sum::<f64>())
    }

    /// `mean_{c≠ŷ} (l_ŷ−l_c)/‖w_ŷ−w_c‖ / ‖h−μ‖` (Liu and Qin 2024); 0 where h is the mean.
    fn boundary_distance(&self, head: &LinearHead, feature: &[f64], logits: &[f64]) -> Option<f64> {
        let (top, value) = largest(logits)?;
        let norm = squared_distance(feature, self.mean()).sqrt();
        let mut total = 0.0;
        for (class, (row, logit)) in head.rows.iter().zip(logits).enumerate() {
            let gap = squared_distance(row, &head.rows[top]).sqrt();
            // Two classes with equal weights have no boundary between them.
            if class != top && gap > 0.0 {
                total += (value - logit) / gap;
            }
        }
        let mean = total / (logits.len() - 1) as f64;
        Some(if norm > 0.0 { mean / norm } else { 0.0 })
    }
}

/// The first largest value and its index.
fn largest(values: &[f64]) -> Option<(usize, f64)> {
    values.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// `logsumexp(l)`.
fn energy(logits: &[f64]) -> f64 {
    let top = largest(logits).map_or(0.0, |(_, top)| top);
    top + logits.iter().map(|logit| (logit - top).exp()).sum::<f64>().ln()
}

/// `−Σ_topM p^γ (1−p)^γ`, the largest `top` probabilities (Liu et al. 2023).
fn generalised_entropy(logits: &[f64], gamma: f64, top: usize) -> f64 {
    let energy = energy(logits);
    let mut probabilities: Vec<f64> = logits.iter().map(|logit| (logit - energy).exp().min(1.0)).collect();
    probabilities.sort_by(|a, b| b.total_cmp(a));
    // 1 − p of the largest is summed from the others, where 1 − p itself would cancel.
    let others: f64 = probabilities.iter().skip(1).sum();
    let terms = probabilities.iter().take(top).enumerate();
    -terms.map(|(rank, p)| (p * if rank == 0 { others } else { 1.0 - p }).powf(gamma)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::{energy, generalised_entropy};

    #[test]
    fn energy_does_not_overflow() {
        assert!((energy(&[1000.0, 1000.0]) - (1000.0 + 2.0_f64.ln())).abs() < 1e-12);
        assert!((energy(&[-5.0]) + 5.0).abs() < 1e-15);
    }

    #[test]
    fn generalised_entropy_of_two_equal_classes() {
        assert!((generalised_entropy(&[3.0, 3.0], 0.1, 100) + 2.0 * 0.25_f64.powf(0.1)).abs() < 1e-14);
        assert!(generalised_entropy(&[50.0, 0.0], 0.1, 100) > generalised_entropy(&[1.0, 0.0], 0.1, 100));
    }
}
