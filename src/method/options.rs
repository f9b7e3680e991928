//! The choices of a fit, with the defaults of the method's sources.

use super::error::MethodError;

/// How many principal components span the familiar subspace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dimension {
    /// The fewest components that explain this share of the variance, in (0, 1].
    Share(f64),
    /// This many.
    Count(usize),
}

impl Dimension {
    /// The number of components, given variances in descending order and the number of images.
    ///
    /// # Errors
    /// A share outside (0, 1], or a count of 0 or beyond `min(images, channels)`.
    pub fn components(self, variances: &[f64], images: u64) -> Result<usize, MethodError> {
        let channels = variances.len();
        let most = channels.min(usize::try_from(images).unwrap_or(usize::MAX));
        match self {
            Self::Count(dim) if dim == 0 || dim > most => Err(MethodError::Dimension { dim, images, channels, most }),
            Self::Count(dim) => Ok(dim),
            Self::Share(share) if !(share > 0.0 && share <= 1.0) => Err(MethodError::Share { share }),
            Self::Share(share) => {
                let total: f64 = variances.iter().sum();
                let mut explained = 0.0;
                let enough = variances.iter().position(|variance| {
                    explained += variance;
                    // The slack is that of the summation, so that a share of 1 is reached.
                    explained >= share * total * (1.0 - 1e-13)
                });
                Ok(enough.map_or(most, |index| index + 1).min(most))
            }
        }
    }
}

/// What a fit may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Components of `neco` and `neco-ml`.
    pub neco: Dimension,
    /// Components of `neco-std` and `neco-std-ml`.
    pub neco_std: Dimension,
    /// Components of `ViM`'s principal space; `None`: see [`Options::vim_components`].
    pub vim: Option<usize>,
    /// Mahalanobis: `ridge · trace/D` is added to the diagonal of the shared covariance.
    pub ridge: f64,
    /// KNN: which neighbour.
    pub neighbour: usize,
    /// KNN: most features in the bank; those with the smallest keys are taken.
    pub bank: usize,
    /// NCI: weight of `‖h‖₁`. 1e-4 is the default of `OpenOOD`'s released configuration; the paper tunes it on
    /// OOD data, which a fit on good images does not have.
    pub nci_alpha: f64,
    /// GEN: the exponent γ.
    pub gen_gamma: f64,
    /// GEN: most probabilities that enter, largest first.
    pub gen_top: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            neco: Dimension::Share(0.9),
            neco_std: Dimension::Share(0.9),
            vim: None,
            ridge: 1e-3,
            neighbour: 10,
            bank: usize::MAX,
            nci_alpha: 1e-4,
            gen_gamma: 0.1,
            gen_top: 100,
        }
    }
}

impl Options {
    /// Components of `ViM`'s principal space: as told, else 1000 from 1500 channels on, 512 from 700 on, half of the
    /// channels below (the rule of the released implementations), and at most four fifths of the images, because
    /// with as many components as images no residual is left to scale by.
    pub fn vim_components(&self, channels: usize, images: u64) -> usize {
        let usual = match channels {
            1500.. => 1000,
            700.. => 512,
            _ => channels / 2,
        };
        let most = usize::try_from(images.saturating_mul(4) / 5).unwrap_or(usize::MAX);
        self.vim.unwrap_or(usual.min(most)).clamp(1, channels)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dimension, Options};

    #[test]
    fn takes_the_fewest_components_that_reach_the_share() {
        let variances = [6.0, 3.0, 0.5, 0.5];
        assert_eq!(Dimension::Share(0.9).components(&variances, 100), Ok(2));
        assert_eq!(Dimension::Share(0.91).components(&variances, 100), Ok(3));
        assert_eq!(Dimension::Share(1.0).components(&variances, 100), Ok(4));
        assert_eq!(Dimension::Share(1.0).components(&variances, 3), Ok(3));
        assert!(Dimension::Share(0.0).components(&variances, 100).is_err());
        assert!(Dimension::Share(f64::NAN).components(&variances, 100).is_err());
        assert!(Dimension::Count(5).components(&variances, 100).is_err());
        assert!(Dimension::Count(0).components(&variances, 100).is_err());
    }

    #[test]
    fn vim_follows_the_rule_and_the_images() {
        let options = Options::default();
        assert_eq!(options.vim_components(64, 2000), 32);
        assert_eq!(options.vim_components(1280, 647), 512);
        assert_eq!(options.vim_components(2048, 9999), 1000);
        assert_eq!(options.vim_components(1280, 100), 80);
    }
}
