//! NECO: how much of a feature lies in the span of the first principal components, and where in the image the rest is.

use std::sync::Arc;

use super::error::{MethodError, require_finite, require_length};
use super::options::Dimension;
use super::pca::Pca;
use super::vector::{dot, widened};

/// The first `dim` principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Subspace {
    pca: Arc<Pca>,
    dim: usize,
    images: u64,
}

impl Subspace {
    pub(super) fn new(pca: Pca, dimension: Dimension, images: u64) -> Result<Self, MethodError> {
        let dim = dimension.components(&pca.variances, images)?;
        Ok(Self { pca: Arc::new(pca), dim, images })
    }

    /// The same components with another number of them kept; shares memory with this one.
    ///
    /// # Errors
    /// A dimension that the images or channels do not support.
    pub fn with_dimension(&self, dimension: Dimension) -> Result<Self, MethodError> {
        let dim = dimension.components(&self.pca.variances, self.images)?;
        Ok(Self { pca: Arc::clone(&self.pca), dim, images: self.images })
    }

    /// Mean, scale, variances and all components.
    pub fn pca(&self) -> &Pca {
        &self.pca
    }

    /// Components kept, d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The kept components, each a unit vector of length D: the rows of P.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        (0..self.dim).map(|k| self.pca.component(k))
    }

    /// Share of the variance that the kept components explain.
    pub fn explained(&self) -> f64 {
        let total: f64 = self.pca.variances.iter().sum();
        self.pca.variances[..self.dim].iter().sum::<f64>() / total
    }

    /// `‖Pz‖ / ‖z‖` in [0, 1] with `z = (h − mean)/scale`; 0 where z is 0 (Ben Ammar et al. 2024, eq. 6, centred).
    pub fn ratio(&self, feature: &[f64]) -> f64 {
        let z = self.pca.standardise(feature);
        let norm = dot(&z, &z);
        if norm > 0.0 { (self.squared_projection(&z) / norm).sqrt().min(1.0) } else { 0.0 }
    }

    /// `‖z‖² − ‖Pz‖²`, not below zero.
    pub fn squared_residual(&self, feature: &[f64]) -> f64 {
        let residual = self.residual(feature);
        dot(&residual, &residual)
    }

    /// `r = (I − PᵀP) z`, length D.
    pub fn residual(&self, feature: &[f64]) -> Vec<f64> {
        let mut residual = self.pca.standardise(feature);
        let z = residual.clone();
        for row in self.rows() {
            let coordinate = dot(row, &z);
            residual.iter_mut().zip(row).for_each(|(r, p)| *r -= coordinate * p);
        }
        residual
    }

    /// `a_ij = rᵀ D⁻¹ (F_ij − mean)` for a feature map of D×H×W values, channel-major, whose global average is the
    /// feature: H×W signed values whose mean is the squared residual.
    ///
    /// # Errors
    /// A map whose length is no multiple of D, or a value that is not finite.
    pub fn heat_map(&self, map: &[f32]) -> Result<Vec<f64>, MethodError> {
        let dim = self.pca.dim();
        let cells = map.len() / dim;
        require_length("feature map", dim * cells.max(1), map.len())?;
        require_finite("feature map", map)?;
        let channels = || map.chunks_exact(cells);
        let feature: Vec<f64> = channels().map(|channel| widened(channel).iter().sum::<f64>() / cells as f64).collect();
        let residual = self.residual(&feature);
        let weights: Vec<f64> = residual.iter().zip(&self.pca.scale).map(|(r, scale)| r / scale).collect();
        let mut heat = vec![-dot(&weights, &self.pca.mean); cells];
        for (weight, channel) in weights.iter().zip(channels()) {
            heat.iter_mut().zip(channel).for_each(|(heat, value)| *heat += weight * f64::from(*value));
        }
        Ok(heat)
    }

    fn squared_projection(&self, z: &[f64]) -> f64 {
        self.rows().map(|row| dot(row, z)).map(|coordinate| coordinate * coordinate).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Subspace;
    use crate::method::options::Dimension;
    use crate::method::pca::Pca;
    use nalgebra::dmatrix;

    fn subspace() -> Subspace {
        let pca = Pca::unscaled(&[1.0, 1.0], &dmatrix![9.0, 0.0; 0.0, 1.0]).unwrap();
        Subspace::new(pca, Dimension::Count(1), 10).unwrap()
    }

    #[test]
    fn ratio_and_residual_are_pythagoras() {
        let subspace = subspace();
        assert!((subspace.ratio(&[4.0, 5.0]) - 0.6).abs() < 1e-15);
        assert!((subspace.squared_residual(&[4.0, 5.0]) - 16.0).abs() < 1e-12);
        assert_eq!(subspace.ratio(&[1.0, 1.0]).to_bits(), 0.0_f64.to_bits());
        assert!((subspace.explained() - 0.9).abs() < 1e-15);
    }

    #[test]
    fn the_mean_of_the_heat_map_is_the_squared_residual() {
        let subspace = subspace();
        let map = [1.0, 7.0, 2.0, 6.0, 3.0, 9.0, 1.0, 7.0];
        let heat = subspace.heat_map(&map).unwrap();
        let mean = heat.iter().sum::<f64>() / 4.0;
        assert!((mean - subspace.squared_residual(&[4.0, 5.0])).abs() < 1e-12);
        assert!(subspace.heat_map(&map[..3]).is_err());
        assert!(subspace.heat_map(&[]).is_err());
    }
}
