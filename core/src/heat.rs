//! Where in the image the unfamiliar part lies: one signed value a cell of the feature map.

use crate::matrix::sum_of;
use crate::score::{check_finite, halves, scale, squared_norm, squared_projection, subtract};
use crate::{Error, Matrix, SectionKind, Shelf, Vector};

impl Shelf<'_> {
    /// `‖z‖² − ‖Pz‖²`: what the projection leaves of the centred (and, in the standardised variant, scaled) feature.
    ///
    /// # Errors
    /// [`Error::Dimension`] for a vector of the wrong length, [`Error::NotFinite`] for NaN or infinity.
    pub fn squared_residual(&self, feature: &[f32], scratch: &mut [f32]) -> Result<f32, Error> {
        let (basis, inverse) = self.layout(scratch.len())?;
        let expected = self.header.dims.feature as usize;
        if feature.len() != expected {
            return Err(Error::Dimension { name: "feature", expected, found: feature.len() });
        }
        check_finite(feature)?;
        let z = &mut scratch[..feature.len()];
        subtract(feature, &self.centre, z);
        if let Some(inverse) = inverse {
            scale(z, &inverse);
        }
        let squared = squared_norm(z) - squared_projection(&basis, z);
        if squared.is_finite() { Ok(squared) } else { Err(Error::NotFinite("feature")) }
    }

    /// `a_p = rᵀ D⁻¹ (F_p − μ)` with `r = z − PᵀPz`: signed; its mean over the map is [`Shelf::squared_residual`] of the
    /// mean of the map.
    ///
    /// `map` holds D channels of `out.len()` cells each, channel-major. The feature is taken to be the mean of the map
    /// itself: a quantised backbone may round the pooled feature once more.
    ///
    /// # Errors
    /// [`Error::Dimension`] for a vector of the wrong length, [`Error::NotFinite`] where the map is not finite.
    pub fn heat_map(&self, map: &[f32], scratch: &mut [f32], out: &mut [f32]) -> Result<(), Error> {
        let (basis, inverse) = self.layout(scratch.len())?;
        let (dim, cells) = (self.header.dims.feature as usize, out.len());
        let expected = dim.saturating_mul(cells);
        if map.len() != expected || cells == 0 {
            return Err(Error::Dimension { name: "map", expected, found: map.len() });
        }
        let (z, r) = halves(scratch, dim);
        for ((z, centre), channel) in z.iter_mut().zip(self.centre.values()).zip(map.chunks_exact(cells)) {
            *z = sum_of(channel, |value| value) / cells as f32 - centre;
        }
        if let Some(inverse) = &inverse {
            scale(z, inverse);
        }
        r.copy_from_slice(z);
        for row in basis.iter() {
            row.add_to(-row.dot(z), r);
        }
        if let Some(inverse) = &inverse {
            scale(r, inverse);
        }
        out.fill(0.0);
        for ((weight, centre), channel) in r.iter().zip(self.centre.values()).zip(map.chunks_exact(cells)) {
            for (out, value) in out.iter_mut().zip(channel) {
                *out += weight * (value - centre);
            }
        }
        if out.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(Error::NotFinite("map")) }
    }

    /// The projection that heat maps are drawn with: the unscaled one where there is one.
    fn layout(&self, scratch: usize) -> Result<(Matrix<'_>, Option<Vector<'_>>), Error> {
        if scratch < self.scratch_len() {
            let expected = self.scratch_len();
            return Err(Error::Dimension { name: "scratch", expected, found: scratch });
        }
        match (self.basis, self.standard_basis) {
            (Some(basis), _) => Ok((basis, None)),
            (None, Some(basis)) => Ok((basis, self.inverse_scale)),
            (None, None) => Err(Error::Section(SectionKind::Basis)),
        }
    }
}
