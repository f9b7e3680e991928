//! Neural-collapse diagnostics of a backbone's features, and what they mean for the choice of score.

use nalgebra::DMatrix;

use super::error::MethodError;
use super::parameters::within_classes;
use super::pca::{DEAD, descending, deviations};
use super::statistics::{Naming, Statistics};
use super::vector::{difference, dot};

/// Below this NC1 a backbone counts as collapsed.
const COLLAPSED: f64 = 0.1;
/// Above this NC1 it does not at all.
const LOOSE: f64 = 0.5;
/// Eigenvalues below this share of the largest do not enter the pseudo-inverse.
const RANK_CUT: f64 = 1e-12;

/// How far a class lies from the mean of all images.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassNorm {
    /// Its name.
    pub name: String,
    /// Its images.
    pub images: u64,
    /// `‖μ_c − μ_G‖`.
    pub norm: f64,
}

/// The diagnostics. Those between classes are `None` with fewer than two.
#[derive(Clone, Debug, PartialEq)]
pub struct Collapse {
    /// Where the classes come from.
    pub naming: Naming,
    /// Every class that has images, by name.
    pub classes: Vec<ClassNorm>,
    /// `tr(Σ_W Σ_B†)/C`, `Σ_B` unweighted over the classes around the mean of all images. Small: collapsed.
    pub nc1: Option<f64>,
    /// NC2 equinorm: `std_c‖μ_c−μ_G‖ / mean_c‖μ_c−μ_G‖`.
    pub equinorm: Option<f64>,
    /// NC2 equiangular: `mean_{c≠c'} |cos(μ_c−μ_G, μ_c'−μ_G) + 1/(C−1)|`.
    pub equiangular: Option<f64>,
    /// `exp(−Σ p_k ln p_k)`, p the shares of variance along the principal components.
    pub effective_rank: f64,
    /// Channels that are constant over the images.
    pub dead_channels: Vec<usize>,
}

impl Collapse {
    /// Measures the features of the statistics.
    ///
    /// # Errors
    /// No image, or a decomposition that does not converge.
    pub fn measure(statistics: &Statistics) -> Result<Self, MethodError> {
        let statistics = &*statistics.settled();
        if statistics.images == 0 {
            return Err(MethodError::TooFewImages { have: 0, need: 1 });
        }
        let count = statistics.images as f64;
        let mean = statistics.feature.first.means(count);
        let covariance = statistics.feature.covariance(count);
        let dead = deviations(&covariance).enumerate().filter(|(_, sigma)| *sigma < DEAD);
        let dead_channels = dead.map(|(channel, _)| channel).collect();
        let effective_rank = effective_rank(&covariance)?;

        let sums = statistics.filled_classes();
        let means: Vec<Vec<f64>> = sums.iter().map(|class| class.feature.means(class.count as f64)).collect();
        let offsets: Vec<Vec<f64>> = means.iter().map(|class| difference(class, &mean)).collect();
        let norms: Vec<f64> = offsets.iter().map(|offset| dot(offset, offset).sqrt()).collect();
        let classes = sums.iter().zip(&norms).map(|(class, norm)| ClassNorm {
            name: class.name.to_string(),
            images: class.count,
            norm: *norm,
        });
        let classes: Vec<ClassNorm> = classes.collect();

        let apart = classes.len() > 1 && norms.iter().all(|norm| *norm > 0.0);
        let within = || within_classes(covariance, &sums, &means, &mean, count);
        let nc1 = apart.then(|| variability(&within(), &offsets)).transpose()?;
        Ok(Self {
            naming: statistics.naming,
            classes,
            nc1,
            equinorm: apart.then(|| variation(&norms)),
            equiangular: apart.then(|| angle_error(&offsets, &norms)),
            effective_rank,
            dead_channels,
        })
    }

    /// Whether this backbone is collapsed enough for NECO, and what to do if not.
    pub fn plain(&self) -> String {
        let Some(nc1) = self.nc1 else {
            return "collapse cannot be judged with fewer than two classes; sort the good images into class folders, \
                    or compare the scores with `eval`"
                .to_owned();
        };
        let by = if self.naming == Naming::Predicted { ", judged by predicted classes," } else { "" };
        let mut text = if nc1 <= COLLAPSED {
            format!("the backbone{by} is collapsed (NC1 {nc1:.3}): NECO is at home here")
        } else if nc1 <= LOOSE {
            format!(
                "the backbone{by} is partly collapsed (NC1 {nc1:.3}): NECO works, but compare it with KNN and ViM by \
                 `eval` or `--score auto`; training past zero training error with weight decay helps"
            )
        } else {
            format!(
                "the backbone{by} is not collapsed enough for NECO alone (NC1 {nc1:.3}): use `--score auto`, or KNN or \
                 ViM; or train it longer, past zero training error, with weight decay"
            )
        };
        if self.equinorm.is_some_and(|spread| spread > 0.2) {
            text.push_str(
                "; class means differ in norm, so classes near the centre alarm more: look at the rates per class",
            );
        }
        text
    }
}

/// NC5: `mean_c |cos(μ_c, μ_OOD)|`, given the class means and the mean feature of strangers. NaN without classes.
pub fn nc5(class_means: &[(String, Vec<f64>)], ood_mean: &[f64]) -> f64 {
    let ood_norm = dot(ood_mean, ood_mean).sqrt();
    let cosines = class_means.iter().map(|(_, mean)| {
        let norms = dot(mean, mean).sqrt() * ood_norm;
        if norms > 0.0 { (dot(mean, ood_mean) / norms).abs() } else { 0.0 }
    });
    cosines.sum::<f64>() / class_means.len() as f64
}

fn effective_rank(covariance: &DMatrix<f64>) -> Result<f64, MethodError> {
    let failed = MethodError::Decomposition { what: "feature covariance" };
    if covariance.iter().any(|value| !value.is_finite()) {
        return Err(failed);
    }
    let values = covariance.symmetric_eigenvalues();
    let total: f64 = values.iter().filter(|value| **value > 0.0).sum();
    if total <= 0.0 {
        return Ok(0.0);
    }
    let shares = values.iter().map(|value| value / total).filter(|share| *share > 0.0);
    Ok((-shares.map(|share| share * share.ln()).sum::<f64>()).exp())
}

/// `tr(Σ_W Σ_B†)/C`: with `M` the offsets over √C as columns, `Σ_B = MMᵀ`, and the eigenvectors of `Σ_B` are
/// `M v_k / √λ_k` with `v_k, λ_k` those of the small `MᵀM`.
fn variability(within: &DMatrix<f64>, offsets: &[Vec<f64>]) -> Result<f64, MethodError> {
    let classes = offsets.len();
    let scale = (classes as f64).sqrt();
    let m = DMatrix::from_fn(within.nrows(), classes, |i, c| offsets[c][i] / scale);
    let (values, vectors) = descending(m.tr_mul(&m), "class means")?;
    let directions = m * vectors;
    let spread = within * &directions;
    let kept = values.iter().enumerate().take(classes - 1).filter(|(_, value)| **value > RANK_CUT * values[0]);
    let trace: f64 = kept.map(|(k, value)| directions.column(k).dot(&spread.column(k)) / (value * value)).sum();
    Ok(trace / classes as f64)
}

/// Population standard deviation over mean.
fn variation(norms: &[f64]) -> f64 {
    let count = norms.len() as f64;
    let mean = norms.iter().sum::<f64>() / count;
    (norms.iter().map(|norm| (norm - mean) * (norm - mean)).sum::<f64>() / count).sqrt() / mean
}

fn angle_error(offsets: &[Vec<f64>], norms: &[f64]) -> f64 {
    let classes = offsets.len();
    let ideal = 1.0 / (classes - 1) as f64;
    let mut total = 0.0;
    for a in 0..classes {
        for b in 0..a {
            total += (dot(&offsets[a], &offsets[b]) / (norms[a] * norms[b]) + ideal).abs();
        }
    }
    2.0 * total / (classes * (classes - 1)) as f64
}
