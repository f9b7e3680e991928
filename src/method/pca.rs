//! Principal components of centred features, unscaled or standardised, with deterministic order and signs.

use nalgebra::{DMatrix, SymmetricEigen};

use super::error::MethodError;

/// Below this standard deviation a channel counts as constant: its scale is 1.
pub(super) const DEAD: f64 = 1e-12;

/// Principal components of `z = (h − mean) / scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// Mean feature, length D.
    pub mean: Vec<f64>,
    /// Divisor of every channel: 1, or its population standard deviation.
    pub scale: Vec<f64>,
    /// Variances along the components (divisor n), descending, none negative, length D.
    pub variances: Vec<f64>,
    /// Component `k` is column `k`.
    components: DMatrix<f64>,
}

impl Pca {
    /// Components of centred, unscaled features, from their covariance.
    pub(super) fn unscaled(mean: &[f64], covariance: &DMatrix<f64>) -> Result<Self, MethodError> {
        Self::of(mean.to_vec(), vec![1.0; mean.len()], covariance.clone())
    }

    /// Components of standardised features; a channel with σ below 1e-12 keeps the scale 1.
    pub(super) fn standardised(mean: &[f64], covariance: &DMatrix<f64>) -> Result<Self, MethodError> {
        let scale: Vec<f64> = deviations(covariance).map(|sigma| if sigma < DEAD { 1.0 } else { sigma }).collect();
        let scaled = DMatrix::from_fn(mean.len(), mean.len(), |i, j| covariance[(i, j)] / (scale[i] * scale[j]));
        Self::of(mean.to_vec(), scale, scaled)
    }

    fn of(mean: Vec<f64>, scale: Vec<f64>, covariance: DMatrix<f64>) -> Result<Self, MethodError> {
        let (variances, components) = descending(covariance, "feature covariance")?;
        Ok(Self { mean, scale, variances, components })
    }

    /// Channels.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Component `k` (0: the largest variance), a unit vector of length D, its largest entry positive.
    pub fn component(&self, k: usize) -> &[f64] {
        column(&self.components, k)
    }

    /// `(h − mean) / scale`.
    pub fn standardise(&self, feature: &[f64]) -> Vec<f64> {
        feature.iter().zip(&self.mean).zip(&self.scale).map(|((h, mean), scale)| (h - mean) / scale).collect()
    }
}

/// Standard deviation of every channel.
pub(super) fn deviations(covariance: &DMatrix<f64>) -> impl Iterator<Item = f64> {
    covariance.diagonal().into_iter().map(|variance| variance.max(0.0).sqrt()).collect::<Vec<_>>().into_iter()
}

/// Column `k` of a matrix as a slice.
pub(super) fn column(matrix: &DMatrix<f64>, k: usize) -> &[f64] {
    let rows = matrix.nrows();
    &matrix.as_slice()[k * rows..(k + 1) * rows]
}

/// Eigenvalues, descending and not below zero, and eigenvectors as columns, of a positive semi-definite matrix.
pub(super) fn descending(matrix: DMatrix<f64>, what: &'static str) -> Result<(Vec<f64>, DMatrix<f64>), MethodError> {
    let dim = matrix.nrows();
    let failed = MethodError::Decomposition { what };
    if matrix.iter().any(|value| !value.is_finite()) {
        return Err(failed);
    }
    // A few sweeps per eigenvalue are usual; the bound only keeps a pathological matrix from looping.
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, 300 * dim.max(10)).ok_or(failed)?;
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let values = order.iter().map(|k| eigen.eigenvalues[*k].max(0.0)).collect();
    let mut vectors = DMatrix::zeros(dim, dim);
    for (to, from) in order.into_iter().enumerate() {
        let source = eigen.eigenvectors.column(from);
        let sign = if source[source.icamax()] < 0.0 { -1.0 } else { 1.0 };
        vectors.column_mut(to).copy_from(&(source * sign));
    }
    Ok((values, vectors))
}

#[cfg(test)]
mod tests {
    use super::Pca;
    use nalgebra::dmatrix;

    #[test]
    fn orders_and_signs_the_components() {
        let covariance = dmatrix![2.0, 0.0, 0.0; 0.0, 5.0, -3.0; 0.0, -3.0, 5.0];
        let pca = Pca::unscaled(&[0.0; 3], &covariance).unwrap();
        assert!((pca.variances[0] - 8.0).abs() < 1e-12 && (pca.variances[1] - 2.0).abs() < 1e-12);
        let first = pca.component(0);
        assert!((first[1].abs() - 0.5_f64.sqrt()).abs() < 1e-12 && first[1] * first[2] < 0.0);
        assert!(first.iter().copied().fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a }) > 0.0);
    }

    #[test]
    fn constant_channels_keep_the_scale_one() {
        let covariance = dmatrix![4.0, 0.0; 0.0, 0.0];
        let pca = Pca::standardised(&[1.0, 2.0], &covariance).unwrap();
        assert_eq!(pca.scale, [2.0, 1.0]);
        assert_eq!(pca.standardise(&[5.0, 2.0]), [2.0, 0.0]);
        assert_eq!(pca.variances, [1.0, 0.0]);
    }
}
