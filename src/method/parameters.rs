//! Everything that a fit learns for every score, from statistics and the classifier's head. Refuses too few images
//! and constant features; a score that the data cannot support is left out, with a warning that says so.

use std::fmt;

use nalgebra::{DMatrix, DVector};

use crate::backbone::Head;

use super::error::MethodError;
use super::gaussian::Gaussian;
use super::neighbours::Bank;
use super::options::Options;
use super::pca::{DEAD, Pca, deviations};
use super::statistics::{ClassSums, Statistics, largest};
use super::subspace::Subspace;
use super::vector::{difference, widened};
use super::vim::{Vim, origin};

/// The classifier's last layer in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    /// Weights of every class, length D each.
    pub rows: Vec<Vec<f64>>,
    /// One bias per class.
    pub bias: Vec<f64>,
}

/// What a user should know about a fit that is possible all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Fewer images than channels: covariances are singular and shrunk.
    FewImages {
        /// Images.
        images: u64,
        /// Channels.
        dim: usize,
    },
    /// Channels that are constant over the images.
    DeadChannels {
        /// Their indices.
        channels: Vec<usize>,
    },
    /// A family of scores that is left out.
    LeftOut {
        /// Which.
        what: &'static str,
        /// Why.
        why: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewImages { images, dim } => write!(
                f,
                "{images} images are fewer than the {dim} feature channels: covariances are shrunk; more good images help"
            ),
            Self::DeadChannels { channels } => {
                write!(f, "{} feature channels are constant over the images and are not scaled", channels.len())
            }
            Self::LeftOut { what, why } => write!(f, "{what} is left out: {why}"),
        }
    }
}

/// The fitted parameters of every score. What a score lacks is `None`, and that score is not offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Feature channels, D.
    pub dim: usize,
    /// Logits, C; 0 for none.
    pub logits: usize,
    /// Images fitted on, n.
    pub images: u64,
    /// Names of the classes with images, ascending: the order of the class means.
    pub class_names: Vec<String>,
    /// `neco` and `neco-ml`: centred, unscaled.
    pub neco: Subspace,
    /// `neco-std` and `neco-std-ml`: standardised.
    pub neco_std: Subspace,
    /// `residual` and `vim`; needs a head.
    pub vim: Option<Vim>,
    /// `mahalanobis`.
    pub mahalanobis: Option<Gaussian>,
    /// `mahalanobis++`, on `h/‖h‖`.
    pub mahalanobis_pp: Option<Gaussian>,
    /// `knn`.
    pub bank: Option<Bank>,
    /// `nci` and `fdbd`.
    pub head: Option<LinearHead>,
    /// NCI's weight of `‖h‖₁`.
    pub nci_alpha: f64,
    /// GEN's exponent γ.
    pub gen_gamma: f64,
    /// GEN's number of probabilities, at most C.
    pub gen_top: usize,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl Parameters {
    /// Fits every score that the statistics and the head support. The decompositions run on rayon's threads.
    ///
    /// # Errors
    /// Fewer than two images, features that are all constant, a head of another shape, dimensions that are not
    /// possible, a decomposition that does not converge.
    pub fn fit(statistics: &Statistics, head: Option<&Head>, options: &Options) -> Result<Self, MethodError> {
        let statistics = &*statistics.settled();
        let (dim, images) = (statistics.dim, statistics.images);
        if images < 2 {
            return Err(MethodError::TooFewImages { have: images, need: 2 });
        }
        let head = head.map(|head| linear_head(head, statistics)).transpose()?;
        let count = images as f64;
        let mean = statistics.feature.first.means(count);
        let covariance = statistics.feature.covariance(count);
        let dead: Vec<usize> = deviations(&covariance)
            .enumerate()
            .filter_map(|(channel, sigma)| (sigma < DEAD).then_some(channel))
            .collect();
        if dead.len() == dim {
            return Err(MethodError::ConstantFeatures { dim, images });
        }

        let unscaled = || Pca::unscaled(&mean, &covariance).and_then(|pca| Subspace::new(pca, options.neco, images));
        let scaled =
            || Pca::standardised(&mean, &covariance).and_then(|pca| Subspace::new(pca, options.neco_std, images));
        let vim = || head.as_ref().map(|head| fit_vim(head, &mean, &covariance, statistics, options)).transpose();
        let gaussians = || fit_gaussians(statistics, &mean, &covariance, options.ridge);
        let ((neco, neco_std), (vim, (mahalanobis, mahalanobis_pp))) =
            rayon::join(|| rayon::join(unscaled, scaled), || rayon::join(vim, gaussians));
        let vim = vim?;

        let mut warnings = Vec::new();
        if images < dim as u64 {
            warnings.push(Warning::FewImages { images, dim });
        }
        if !dead.is_empty() {
            warnings.push(Warning::DeadChannels { channels: dead });
        }
        let mut left_out = |missing: bool, what, why| {
            if missing {
                warnings.push(Warning::LeftOut { what, why });
            }
        };
        let singular = "the features do not vary within the classes";
        left_out(mahalanobis.is_none(), "mahalanobis", singular);
        left_out(mahalanobis_pp.is_none(), "mahalanobis++", singular);
        let no_residual = vim.as_ref().is_some_and(|vim| vim.alpha.is_none());
        left_out(no_residual, "vim", "the features leave no residual to scale by");

        let bank = statistics.sample().iter().take(options.bank).map(|image| widened(image.feature()));
        Ok(Self {
            dim,
            logits: statistics.logits,
            images,
            class_names: statistics.filled_classes().iter().map(|class| class.name.to_string()).collect(),
            neco: neco?,
            neco_std: neco_std?,
            vim,
            mahalanobis,
            mahalanobis_pp,
            bank: Bank::new(bank, options.neighbour),
            head,
            nci_alpha: options.nci_alpha,
            gen_gamma: options.gen_gamma,
            gen_top: options.gen_top.min(statistics.logits),
            warnings,
        })
    }

    /// Mean feature, length D.
    pub fn mean(&self) -> &[f64] {
        &self.neco.pca().mean
    }
}

fn linear_head(head: &Head, statistics: &Statistics) -> Result<LinearHead, MethodError> {
    let (dim, logits) = (statistics.dim, statistics.logits);
    let fits = head.dim == dim
        && (logits == 0 || head.classes == logits)
        && head.classes > 0
        && head.weights.len() == head.classes * head.dim
        && head.bias.len() == head.classes;
    if !fits {
        return Err(MethodError::HeadShape { classes: head.classes, head_dim: head.dim, dim, logits });
    }
    if head.weights.iter().chain(&head.bias).any(|value| !value.is_finite()) {
        return Err(MethodError::HeadNotFinite);
    }
    Ok(LinearHead { rows: head.weights.chunks_exact(dim).map(widened).collect(), bias: widened(&head.bias) })
}

fn fit_vim(
    head: &LinearHead,
    mean: &[f64],
    covariance: &DMatrix<f64>,
    statistics: &Statistics,
    options: &Options,
) -> Result<Vim, MethodError> {
    let origin = origin(head)?;
    let offset = DVector::from_vec(difference(mean, &origin));
    let second_moment = covariance + &offset * offset.transpose();
    let dim = options.vim_components(statistics.dim, statistics.images);
    let mut vim = Vim::new(origin, second_moment, dim)?;
    let (mut max_logits, mut residuals, mut scale) = (0.0, 0.0, 0.0);
    for image in statistics.sample() {
        let feature = widened(image.feature());
        max_logits += largest(image.logits()).map_or(0.0, |(_, value)| f64::from(value));
        residuals += vim.residual(&feature);
        scale += feature.iter().map(|value| value.abs()).sum::<f64>();
    }
    // Below the rounding of the features a residual says nothing.
    let measurable = residuals > scale * 1e-12;
    vim.alpha = (statistics.logits > 0 && measurable).then(|| max_logits / residuals);
    Ok(vim)
}

/// The Gaussians of features and of directions.
fn fit_gaussians(
    statistics: &Statistics,
    mean: &[f64],
    covariance: &DMatrix<f64>,
    ridge: f64,
) -> (Option<Gaussian>, Option<Gaussian>) {
    let count = statistics.images as f64;
    let classes = statistics.filled_classes();
    let of = |means: Vec<Vec<f64>>, mean: Vec<f64>, covariance: DMatrix<f64>| {
        let within = within_classes(covariance, &classes, &means, &mean, count);
        Gaussian::new(mean, &means, within, ridge)
    };
    let feature_means = classes.iter().map(|class| class.feature.means(class.count as f64)).collect();
    let direction_means = classes.iter().map(|class| class.direction.means(class.count as f64)).collect();
    let direction_mean = statistics.direction.first.means(count);
    rayon::join(
        || of(feature_means, mean.to_vec(), covariance.clone()),
        || of(direction_means, direction_mean, statistics.direction.covariance(count)),
    )
}

/// The pooled covariance within classes: the covariance less that of the class means, weighted by image counts.
pub(super) fn within_classes(
    mut covariance: DMatrix<f64>,
    classes: &[&ClassSums],
    means: &[Vec<f64>],
    mean: &[f64],
    count: f64,
) -> DMatrix<f64> {
    for (class, class_mean) in classes.iter().zip(means) {
        let offset = DVector::from_vec(difference(class_mean, mean));
        covariance.ger(-(class.count as f64) / count, &offset, &offset, 1.0);
    }
    covariance
}
