//! `ViM` (Wang et al. 2022): the norm outside the principal space around the classifier's origin, and its scale.

use nalgebra::{DMatrix, DVector};

use super::error::MethodError;
use super::parameters::LinearHead;
use super::pca::{column, descending};
use super::vector::{difference, dot};

/// The principal space of `h − u`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vim {
    /// `u = −W⁺b`, length D.
    pub origin: Vec<f64>,
    components: DMatrix<f64>,
    dim: usize,
    /// Mean max-logit over mean residual, both over the sample; `None` without logits or without any residual.
    pub alpha: Option<f64>,
}

impl Vim {
    /// From the second moment of `h − u`.
    pub(super) fn new(origin: Vec<f64>, second_moment: DMatrix<f64>, dim: usize) -> Result<Self, MethodError> {
        let (_, components) = descending(second_moment, "features around the classifier's origin")?;
        Ok(Self { origin, components, dim, alpha: None })
    }

    /// Components of the principal space.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Basis of the principal space, unit vectors of length D.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        (0..self.dim).map(|k| column(&self.components, k))
    }

    /// `‖Nᵀ(h − u)‖`, N the components beyond the principal space.
    pub fn residual(&self, feature: &[f64]) -> f64 {
        let centred = difference(feature, &self.origin);
        let beyond = self.dim..self.components.ncols();
        beyond.map(|k| dot(column(&self.components, k), &centred)).map(|x| x * x).sum::<f64>().sqrt()
    }
}

/// `u = −W⁺b`.
pub(super) fn origin(head: &LinearHead) -> Result<Vec<f64>, MethodError> {
    let failed = || MethodError::Decomposition { what: "classifier head" };
    let (classes, dim) = (head.rows.len(), head.rows.first().map_or(0, Vec::len));
    let transposed = DMatrix::from_fn(dim, classes, |j, c| head.rows[c][j]);
    let bias = DVector::from_column_slice(&head.bias);
    let sweeps = 300 * classes.min(dim).max(10);
    let solve = |weights: DMatrix<f64>| {
        let svd = weights.try_svd(true, true, f64::EPSILON, sweeps).ok_or_else(failed)?;
        // The cut-off of the reference: 1e-15 of the largest singular value.
        let cut = 1e-15 * svd.singular_values.max();
        svd.solve(&bias, cut).map_err(|_| failed())
    };
    // With Wᵀ = QR, W⁺ = Q (Rᵀ)⁺: the decomposition is that of a C×C matrix.
    let solution = if classes < dim {
        let (q, r) = transposed.qr().unpack();
        q * solve(r.transpose())?
    } else {
        solve(transposed.transpose())?
    };
    Ok(solution.iter().map(|value| -value).collect())
}

#[cfg(test)]
mod tests {
    use super::{Vim, origin};
    use crate::method::parameters::LinearHead;
    use nalgebra::dmatrix;

    #[test]
    fn the_origin_is_where_all_logits_vanish() {
        let head = LinearHead { rows: vec![vec![1.0, 0.0, 1.0], vec![0.0, 2.0, 0.0]], bias: vec![2.0, -4.0] };
        let origin = origin(&head).unwrap();
        for (found, expected) in origin.iter().zip([-1.0, 2.0, -1.0]) {
            assert!((found - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn the_residual_leaves_out_the_principal_space() {
        let vim = Vim::new(vec![1.0, 1.0], dmatrix![1.0, 0.0; 0.0, 9.0], 1).unwrap();
        assert!((vim.residual(&[4.0, 8.0]) - 3.0).abs() < 1e-14);
    }
}
