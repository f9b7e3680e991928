//! Class means with one shared, shrunk covariance: the Mahalanobis scores.

use nalgebra::DMatrix;

use super::pca::column;
use super::vector::{difference, dot, squared_distance};

/// A whitening `A` with `AᵀA = (Σ + ridge·tr(Σ)/D·I)⁻¹` and class means seen through it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// The centre that is subtracted before whitening, length D.
    pub mean: Vec<f64>,
    /// Column `i` is row `i` of the lower-triangular `A`, so that it is contiguous.
    whitening: DMatrix<f64>,
    /// `A (μ_c − mean)` of every class, in the order of the class names.
    pub class_means: Vec<Vec<f64>>,
}

impl Gaussian {
    /// `None` where the shared covariance is zero or not positive definite even with the ridge.
    pub(super) fn new(mean: Vec<f64>, class_means: &[Vec<f64>], within: DMatrix<f64>, ridge: f64) -> Option<Self> {
        let dim = mean.len();
        let mut shrunk = within;
        let shrinkage = ridge * shrunk.trace() / dim as f64;
        for i in 0..dim {
            shrunk[(i, i)] += shrinkage;
        }
        let factor = shrunk.cholesky()?.unpack();
        let inverse = factor.solve_lower_triangular(&DMatrix::identity(dim, dim))?;
        if inverse.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut gaussian = Self { mean, whitening: inverse.transpose(), class_means: Vec::new() };
        gaussian.class_means = class_means.iter().map(|class| gaussian.whiten(class)).collect();
        Some(gaussian)
    }

    /// Row `i` of `A`: its first `i + 1` entries, the others are zero.
    pub fn row(&self, i: usize) -> &[f64] {
        &column(&self.whitening, i)[..=i]
    }

    /// `A (h − mean)`, length D.
    pub fn whiten(&self, feature: &[f64]) -> Vec<f64> {
        let centred = difference(feature, &self.mean);
        (0..self.mean.len()).map(|i| dot(self.row(i), &centred)).collect()
    }

    /// `−min_c ‖A(h − μ_c)‖²` (Lee et al. 2018).
    pub fn score(&self, feature: &[f64]) -> f64 {
        let whitened = self.whiten(feature);
        let distances = self.class_means.iter().map(|class| squared_distance(&whitened, class));
        -distances.fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::Gaussian;
    use nalgebra::dmatrix;

    #[test]
    fn measures_in_units_of_the_shared_covariance() {
        let within = dmatrix![4.0, 1.0; 1.0, 2.0];
        let classes = [vec![0.0, 0.0], vec![10.0, 0.0]];
        let gaussian = Gaussian::new(vec![5.0, 0.0], &classes, within, 0.0).unwrap();
        // (x, y) Σ⁻¹ (x, y)ᵀ with Σ⁻¹ = [2, −1; −1, 4] / 7.
        assert!((gaussian.score(&[1.0, 1.0]) + 4.0 / 7.0).abs() < 1e-14);
        assert!((gaussian.score(&[11.0, 0.0]) + 2.0 / 7.0).abs() < 1e-14);
        assert!(Gaussian::new(vec![0.0, 0.0], &classes, dmatrix![0.0, 0.0; 0.0, 0.0], 1e-3).is_none());
    }
}
