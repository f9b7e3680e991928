//! From a classifier and good images to a shelf: statistics, projection, score, thresholds, file.
//! Refuses promises that the images do not support; images that were fitted on never calibrate.

mod calibrate;
mod choice;
mod draft;
mod error;
mod golden;
mod options;
mod pass;
mod precision;
mod pseudo;
mod sections;
mod spool;
mod strangers;

use std::path::PathBuf;

use serde::Serialize;
use shelfwatch_core::{Evidence, MAX_TERMS, ScoreKind, Shelf, Term};

pub use choice::{Candidate, Choice, join};
pub use error::FitError;
pub use options::{Alpha, FitOptions, ScoreChoice};
pub use precision::TOLERANCE;
pub use pseudo::Fault;

use crate::backbone::Backbone;
use crate::detector::{Detector, Frontend};
use crate::digest::sha256;
use crate::image_folder::ImageEntry;
use crate::method::{Collapse, Naming, Parameters, Provenance, Statistics};
use crate::watch::Watch;
use crate::workers::threads;
use calibrate::{Calibrating, Promise};
use draft::{Calibrated, Draft, term};
use pass::Passes;
use sections::{Layout, Precisions};

/// What is fitted on.
#[derive(Debug)]
pub enum Material {
    /// Images, with the names of their class folders.
    Images {
        /// The images.
        images: Vec<ImageEntry>,
        /// Names of class folders; empty without labels.
        classes: Vec<String>,
    },
    /// Statistics taken before, of one shard or merged.
    Statistics(Box<Statistics>),
}

/// What came out of a fit.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The shelf file.
    pub shelf: Vec<u8>,
    /// The statistics file that belongs to it.
    pub statistics: Vec<u8>,
    /// What the user should see.
    pub summary: Summary,
}

/// What a fit has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Images fitted on.
    pub fit_images: u64,
    /// Images calibrated with.
    pub calibration_images: u64,
    /// Files that could not be used, with the reason.
    pub bad: Vec<(PathBuf, String)>,
    /// The score.
    pub score: String,
    /// Why this score.
    pub why: String,
    /// The evidence of `--score auto`.
    pub choice: Option<Choice>,
    /// D and d.
    pub dims: [usize; 2],
    /// Share of the variance kept.
    pub explained_variance: f64,
    /// Largest movement of a calibration score by compact storage.
    pub movement: f64,
    /// NC1, NC2 equinorm, NC2 equiangular; `None` for each that needs more classes.
    pub collapse: [Option<f64>; 3],
    /// Whether the backbone is collapsed enough, in words.
    pub words: String,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Statistics of images, for [`Material::Statistics`] or for merging with those of other shards.
///
/// # Errors
/// [`FitError`].
pub fn statistics(
    frontend: &Frontend,
    onnx: &[u8],
    images: &[ImageEntry],
    classes: Vec<String>,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<Statistics, FitError> {
    let mut passes = passes(frontend, options, watch)?;
    gather(&mut passes, frontend, onnx, images, classes)
}

fn passes<'a>(frontend: &Frontend, options: &FitOptions, watch: &'a dyn Watch) -> Result<Passes<'a>, FitError> {
    let workers = frontend.forks(threads(options.threads))?;
    Ok(Passes { workers, watch, max_bad: options.max_bad, bad: Vec::new() })
}

fn gather(
    passes: &mut Passes<'_>,
    frontend: &Frontend,
    onnx: &[u8],
    images: &[ImageEntry],
    classes: Vec<String>,
) -> Result<Statistics, FitError> {
    let backbone = frontend.backbone();
    // One folder tells nothing that the classifier does not.
    let classes = if classes.len() > 1 { classes } else { Vec::new() };
    let labelled = !classes.is_empty();
    let mut statistics = Statistics::new(backbone.dim(), backbone.classes(), classes)?;
    let before = passes.bad.len();
    passes.run(
        "fit",
        images,
        false,
        |_| Ok(()),
        |i, taken| {
            let label = images[i].class.filter(|_| labelled);
            Ok(statistics.add(taken.key, &taken.feature, &taken.logits, label)?)
        },
    )?;
    if statistics.images() == 0 {
        return Err(FitError::NoImages { purpose: "fit on" });
    }
    let taps = backbone.taps();
    statistics.set_provenance(Provenance {
        backbone_sha256: sha256(onnx),
        recipe: frontend.recipe().to_toml(),
        feature_tap: taps.feature.clone(),
        logits_tap: taps.logits.clone(),
        map_tap: taps.map.clone(),
        found: images.len() as u64,
        bad: (passes.bad.len() - before) as u64,
    });
    Ok(statistics)
}

/// Fits a shelf.
///
/// # Errors
/// [`FitError`]: nothing is written by this function in any case.
pub fn fit(
    frontend: &Frontend,
    onnx: &[u8],
    material: Material,
    calibrate: &[ImageEntry],
    split: &str,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<Fitted, FitError> {
    if calibrate.is_empty() {
        return Err(FitError::NoImages { purpose: "calibrate with" });
    }
    Promise::check(calibrate.len(), options)?;
    let mut passes = passes(frontend, options, watch)?;
    let statistics = match material {
        Material::Images { images, classes } => gather(&mut passes, frontend, onnx, &images, classes)?,
        Material::Statistics(statistics) => *statistics,
    };
    check_provenance(&statistics, onnx, frontend)?;
    let backbone = frontend.backbone();
    watch.progress("decompose", 0, 1);
    let parameters = Parameters::fit(&statistics, backbone.head(), &options.method)?;
    let collapse = Collapse::measure(&statistics)?;
    watch.progress("decompose", 1, 1);
    let mut calibrating = Calibrating::gather(&mut passes, &parameters, calibrate, backbone)?;

    let choice = match &options.score {
        ScoreChoice::Kinds(_) => None,
        ScoreChoice::Auto { strangers } => {
            let allowed = |kind: ScoreKind| !times_max_logit(kind) || calibrating.not_positive == 0;
            Some(calibrating.choose(&mut passes, strangers.as_deref(), calibrate, &parameters, &allowed)?)
        }
    };
    let kinds = match (&options.score, &choice) {
        (ScoreChoice::Kinds(kinds), _) => kinds.clone(),
        (_, Some(choice)) => choice.kinds.clone(),
        (_, None) => vec![ScoreKind::Neco],
    };
    check_kinds(&kinds, &parameters, &calibrating, options)?;
    let why = choice.as_ref().map_or_else(|| "given".to_owned(), |choice| choice.why.clone());
    let single = kinds.len() == 1;
    let terms: Vec<Term> =
        kinds.iter().map(|kind| term(*kind, (!single).then(|| calibrating.norms.of(*kind)))).collect();
    let deviation = if single { calibrating.norms.of(kinds[0]).1 } else { 1.0 };

    let statistics_file = statistics.to_bytes();
    let class_names = if labelled(&statistics) { calibrating.class_names(backbone.classes()) } else { String::new() };
    let recipe = frontend.recipe().to_toml();
    let layout = Layout { parameters: &parameters, kinds: &kinds };
    let explained =
        if layout.is_standardised() { parameters.neco_std.explained() } else { parameters.neco.explained() };
    let evidence = Evidence {
        fit_images: statistics.images(),
        calibration_images: calibrating.spool.len() as u64,
        bad_images: passes.bad.len() as u64,
        explained_variance: explained as f32,
        guarantee: options.guarantee,
        split,
        choice: &why,
        statistics_sha256: sha256(&statistics_file),
    };
    let draft = Draft {
        product: &options.product,
        recipe: &recipe,
        onnx,
        onnx_sha256: sha256(onnx),
        backbone,
        layout,
        terms,
        class_names: &class_names,
        needs: &options.needs,
        evidence,
    };
    let (precisions, movement) = match options.precision {
        Some(precision) => {
            let all = Precisions::all(precision);
            (all, precision::movement(&draft, all, &mut calibrating.spool, deviation)?)
        }
        None => precision::choose(&draft, &mut calibrating.spool, deviation)?,
    };
    let scores = calibrating.device_scores(&draft.provisional(precisions)?)?;
    let promise = Promise::keep(&scores, options)?;
    let golden = golden::choose(calibrate, &calibrating.kept, &scores);
    let mut sorted = scores.clone();
    sorted.sort_by(f32::total_cmp);
    let calibrated = Calibrated {
        reject: promise.reject,
        review: promise.review,
        heat_scale: calibrating.heat_scale(),
        scores: &sorted,
        golden: &golden,
        with_backbone: !options.detached,
    };
    let shelf = draft.finish(precisions, &calibrated)?;
    prove(&shelf, frontend, &scores, &mut calibrating)?;

    let summary = Summary {
        fit_images: statistics.images(),
        calibration_images: scores.len() as u64,
        bad: passes.bad,
        score: join(&kinds),
        why: why.clone(),
        choice,
        dims: [parameters.dim, draft.layout.components()],
        explained_variance: explained,
        movement,
        collapse: [collapse.nc1, collapse.equinorm, collapse.equiangular],
        words: collapse.plain(),
        warnings: warnings(&parameters, movement, backbone),
    };
    Ok(Fitted { shelf, statistics: statistics_file, summary })
}

fn warnings(parameters: &Parameters, movement: f64, backbone: &Backbone) -> Vec<String> {
    let mut warnings: Vec<String> = parameters.warnings.iter().map(ToString::to_string).collect();
    if movement > TOLERANCE {
        warnings
            .push(format!("the chosen precision moves a calibration score by {movement:.2e}; use --precision auto"));
    }
    if backbone.map_shape().is_none() {
        warnings.push("the feature is not the mean of a feature map: no heat maps".to_owned());
    }
    warnings
}

fn check_provenance(statistics: &Statistics, onnx: &[u8], frontend: &Frontend) -> Result<(), FitError> {
    let provenance = statistics.provenance();
    if provenance.backbone_sha256 != sha256(onnx) {
        return Err(FitError::OtherStatistics { what: "backbone" });
    }
    if provenance.recipe != frontend.recipe().to_toml() {
        return Err(FitError::OtherStatistics { what: "recipe" });
    }
    Ok(())
}

fn times_max_logit(kind: ScoreKind) -> bool {
    matches!(kind, ScoreKind::NecoMl | ScoreKind::NecoStdMl)
}

fn check_kinds(
    kinds: &[ScoreKind],
    parameters: &Parameters,
    calibrating: &Calibrating,
    options: &FitOptions,
) -> Result<(), FitError> {
    debug_assert!((1..=MAX_TERMS).contains(&kinds.len()));
    for kind in kinds {
        let score = kind.name();
        if !parameters.offers(*kind) {
            let why = if kind.needs_logits() && parameters.logits == 0 {
                "it has no logits"
            } else if kind.needs_head() && parameters.head.is_none() {
                "the weights of its last layer are not in the file"
            } else {
                "its features do not vary enough"
            };
            return Err(FitError::NotOffered { score, why });
        }
        let (count, images) = (calibrating.not_positive, calibrating.spool.len() as u64);
        if times_max_logit(*kind) && count > 0 && !options.allow_negative_logits {
            return Err(FitError::NegativeLogits { score, count, images });
        }
    }
    Ok(())
}

/// The file judges every calibration feature and every golden image as the fit did, bit for bit.
fn prove(shelf: &[u8], frontend: &Frontend, scores: &[f32], calibrating: &mut Calibrating) -> Result<(), FitError> {
    let again = calibrating.device_scores(shelf)?;
    let same = again.iter().zip(scores).all(|(again, score)| again.to_bits() == score.to_bits());
    let parsed = Shelf::parse(shelf)?;
    let mut detector = Detector::with_frontend(parsed.clone(), frontend.fork()?);
    for image in parsed.golden().iter() {
        let frame = crate::intake::file(image.file, frontend.recipe()).map_err(|_| FitError::NotReproduced)?;
        if detector.read(&frame)?.score.to_bits() != image.score.to_bits() {
            return Err(FitError::NotReproduced);
        }
    }
    if same { Ok(()) } else { Err(FitError::NotReproduced) }
}

/// Whether the classes of statistics are folders that a person named.
pub fn labelled(statistics: &Statistics) -> bool {
    statistics.naming() == Naming::Labelled
}
