//! The method's mathematics in f64: streamed statistics, the fitted parameters of every score, neural-collapse
//! diagnostics, calibration and metrics. Knows nothing of files, images or backbones; refuses non-finite numbers.

mod binomial;
mod calibration;
mod collapse;
mod double_double;
mod error;
mod gaussian;
mod moments;
mod neighbours;
mod options;
mod parameters;
mod pca;
mod provenance;
mod roc;
mod sample;
mod scores;
mod statistics;
mod statistics_file;
mod subspace;
mod vector;
mod vim;

pub use binomial::{clopper_pearson_lower, clopper_pearson_upper};
pub use calibration::{
    Calibration, CalibrationError, Rule, Threshold, guaranteed_rank, least_alpha, least_images, marginal_least_images,
    marginal_rank,
};
pub use collapse::{ClassNorm, Collapse, nc5};
pub use error::MethodError;
pub use gaussian::Gaussian;
pub use neighbours::Bank;
pub use options::{Dimension, Options};
pub use parameters::{LinearHead, Parameters, Warning};
pub use pca::Pca;
pub use provenance::Provenance;
pub use roc::{auroc, average_precision, detection, fpr95};
pub use sample::Sampled;
pub use scores::Scores;
pub use statistics::{Naming, Statistics};
pub use subspace::Subspace;
pub use vim::Vim;
