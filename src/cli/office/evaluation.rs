//! A run over folders of good images and strangers: every image through the detector, figures and report from it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use shelfwatch::detector::{Detector, Reading};
use shelfwatch::digest::sha256;
use shelfwatch::evaluate::{
    Call, CollapseFigures, Criteria, Evaluation, Fault, ImageSet, Nc5, OperatingPoint, ScoreRow, ScoredImage,
    ShelfFacts, Thumbnail, evaluate, thumbnail, to_html,
};
use shelfwatch::fit::join;
use shelfwatch::frame::Frame;
use shelfwatch::image_file;
use shelfwatch::image_folder::{ImageEntry, ImageFolder};
use shelfwatch::intake;
use shelfwatch::method::{Collapse, Dimension, Options, Parameters, Statistics, nc5};
use shelfwatch::preprocess::Recipe;
use shelfwatch::watch::Watch;
use shelfwatch_core::{Header, Judgement, ScoreKind, SectionKind, Shelf};

use crate::cli::inputs;
use crate::cli::judged::{judge, look};

/// Side of the pictures in the report, in pixels.
const PICTURE: u32 = 192;

/// The statistics of a fit, and every score's parameters from them.
pub(super) struct Study {
    statistics: Statistics,
    parameters: Parameters,
}

impl Study {
    /// `None` where there is no file and none was asked for.
    pub(super) fn open(path: &Path, asked: bool, detector: &Detector<'_>) -> Result<Option<Self>> {
        let shelf = detector.shelf();
        if !asked && !path.exists() {
            eprintln!(
                "note: no statistics at {}: only the shelf's own score is measured; keep the .stats file beside the shelf, or give --stats",
                path.display()
            );
            return Ok(None);
        }
        let bytes = inputs::file(path)?;
        if sha256(&bytes) != shelf.header().evidence.statistics_sha256 {
            bail!("{} does not belong to this shelf; give the statistics that were written beside it", path.display());
        }
        let statistics = Statistics::from_bytes(&bytes).with_context(|| path.display().to_string())?;
        eprintln!("fitting every score from {}", path.display());
        let parameters = Parameters::fit(&statistics, detector.frontend().backbone().head(), &options(shelf))?;
        Ok(Some(Self { statistics, parameters }))
    }
}

/// The dimensions that the shelf was fitted with; scores that it does not use take the defaults.
fn options(shelf: &Shelf<'_>) -> Options {
    let share = Options::default();
    let kept = Dimension::Count(shelf.header().dims.components as usize);
    let has = |kind| shelf.sections().any(|(section, _)| section == kind);
    let basis = has(SectionKind::Basis);
    if basis { Options { neco: kept, ..share } } else { Options { neco_std: kept, ..share } }
}

/// What judges one set after the other.
pub(super) struct Run<'a> {
    detectors: Vec<Detector<'a>>,
    study: Option<&'a Study>,
    watch: &'a dyn Watch,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        detector: &Detector<'a>,
        study: Option<&'a Study>,
        threads: usize,
        watch: &'a dyn Watch,
    ) -> Result<Self> {
        Ok(Self { detectors: detector.forks(threads)?, study, watch })
    }

    /// Judges all folders and draws the figures.
    pub(super) fn evaluate(
        &mut self,
        good: &ImageFolder,
        strangers: &[(&str, &ImageFolder)],
        criteria: Criteria,
    ) -> Result<Evaluation> {
        let (id, _) = self.set("good images", good)?;
        let mut sets = Vec::new();
        let mut angles = Vec::new();
        for (name, folder) in strangers {
            let (set, mean) = self.set(name, folder)?;
            if let (Some(study), false) = (self.study, mean.is_empty()) {
                let value = nc5(&study.statistics.class_means(), &mean);
                angles.push(Nc5 { set: (*name).to_owned(), value });
            }
            sets.push(set);
        }
        let collapse = self.study.map(|study| Collapse::measure(&study.statistics)).transpose()?;
        let collapse = collapse.map(|collapse| CollapseFigures::new(&collapse, angles));
        Ok(evaluate(facts(self.detectors[0].shelf().header()), collapse, &id, &sets, criteria))
    }

    /// The report of an evaluation of these folders, with pictures.
    pub(super) fn html(
        &mut self,
        evaluation: &Evaluation,
        good: &ImageFolder,
        strangers: &[(&str, &ImageFolder)],
    ) -> String {
        let folders: Vec<&ImageFolder> =
            std::iter::once(good).chain(strangers.iter().map(|(_, folder)| *folder)).collect();
        to_html(evaluation, &self.thumbnails(evaluation, &folders))
    }

    /// Judges a folder; with the mean feature where every score is measured.
    fn set(&mut self, name: &str, folder: &ImageFolder) -> Result<(ImageSet, Vec<f64>)> {
        let mut set = ImageSet { name: name.to_owned(), images: Vec::new(), faults: Vec::new() };
        let mut sum: Vec<f64> = Vec::new();
        let load =
            |image: &ImageEntry, recipe: &Recipe| intake::path(&image.path, recipe).map_err(|error| error.to_string());
        let parameters = self.study.map(|study| &study.parameters);
        let measure = |detector: &mut Detector<'_>, frame: &Frame| measure(detector, frame, parameters);
        judge(&mut self.detectors, &folder.images, load, measure, name, self.watch, |i, measured| {
            let image = &folder.images[i];
            match measured {
                Ok(measured) => {
                    sum.resize(measured.feature.len(), 0.0);
                    sum.iter_mut().zip(&measured.feature).for_each(|(sum, value)| *sum += f64::from(*value));
                    set.images.push(measured.scored(&image.path.to_string_lossy(), image.class_folder()));
                }
                Err(reason) => {
                    let path = image.path.display().to_string();
                    set.faults.push(Fault { set: name.to_owned(), path, reason });
                }
            }
            Ok(())
        })?;
        let count = set.images.len().max(1) as f64;
        Ok((set, sum.into_iter().map(|sum| sum / count).collect()))
    }

    /// Pictures of the images that the report names; one that cannot be drawn is left out of the report only.
    fn thumbnails(&mut self, evaluation: &Evaluation, folders: &[&ImageFolder]) -> Vec<Thumbnail> {
        let named = evaluation.worst_misses.iter().chain(&evaluation.worst_false_alarms);
        let Some(detector) = self.detectors.first_mut() else { return Vec::new() };
        named
            .filter_map(|example| {
                let same = |image: &&ImageEntry| image.path.to_string_lossy() == example.path;
                let image = folders.iter().flat_map(|folder| &folder.images).find(same)?;
                let frame = intake::path(&image.path, detector.frontend().recipe()).ok()?;
                let judged = look(detector, &frame, true).ok()?;
                let png = |frame: &Frame| image_file::encode_png(&thumbnail(frame, PICTURE).ok()?).ok();
                let heat = judged.overlay.as_ref().and_then(|overlay| png(&overlay.frame));
                Some(Thumbnail { path: example.path.clone(), png: png(&frame)?, heat })
            })
            .collect()
    }
}

/// One image with every score, and its feature where there are parameters.
struct Measured {
    reading: Reading,
    scores: ScoreRow,
    feature: Vec<f32>,
}

fn measure(detector: &mut Detector<'_>, frame: &Frame, parameters: Option<&Parameters>) -> Result<Measured, String> {
    let seen = detector.look(frame, false).map_err(|error| error.to_string())?;
    let mut measured = Measured { reading: seen.reading, scores: [None; ScoreKind::ALL.len()], feature: Vec::new() };
    if let Some(parameters) = parameters {
        let scores = parameters.scores(seen.activations.feature, seen.activations.logits);
        let scores = scores.map_err(|error| error.to_string())?;
        measured.scores = ScoreKind::ALL.map(|kind| scores.get(kind));
        measured.feature = seen.activations.feature.to_vec();
    }
    Ok(measured)
}

impl Measured {
    /// As an evaluation takes it.
    fn scored(&self, path: &str, class: Option<&str>) -> ScoredImage {
        ScoredImage {
            path: path.into(),
            class: class.map(str::to_owned),
            predicted: self.reading.class,
            scores: self.scores,
            chosen: self.reading.score,
            p_value: f64::from(self.reading.p_value),
            call: call(self.reading.judgement),
        }
    }
}

/// The report's word for a judgement.
pub(super) fn call(judgement: Judgement) -> Call {
    match judgement {
        Judgement::Pass => Call::Pass,
        Judgement::Review => Call::Review,
        Judgement::Reject => Call::Reject,
    }
}

/// What a report says of a shelf.
fn facts(header: &Header<'_>) -> ShelfFacts {
    let kinds: Vec<ScoreKind> = header.terms.iter().map(|term| term.kind).collect();
    let n = header.evidence.calibration_images;
    let point = |point: &shelfwatch_core::OperatingPoint| OperatingPoint {
        alpha: point.alpha,
        delta: point.delta,
        n,
        k: point.k,
        threshold: point.threshold,
        bound: point.bound,
    };
    let evidence = header.evidence;
    let more = [
        ("score chosen", evidence.choice.to_owned()),
        ("images", format!("{} fitted, {n} calibrated ({})", evidence.fit_images, evidence.split)),
        ("written by", header.written_by.to_owned()),
    ];
    ShelfFacts {
        product: header.product.to_owned(),
        score: join(&kinds),
        kinds,
        feature_dim: u64::from(header.dims.feature),
        kept_dim: u64::from(header.dims.components),
        class_names: header.classes().map(str::to_owned).collect(),
        reject: point(&header.reject),
        review: point(&header.review),
        more: more.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}
