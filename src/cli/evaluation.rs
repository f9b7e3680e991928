//! A run over folders of good images and strangers: every image through the detector, figures and report from it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use shelfwatch::detector::Detector;
use shelfwatch::digest::sha256;
use shelfwatch::evaluate::{
    CollapseFigures, Criteria, Evaluation, Fault, ImageSet, Nc5, Thumbnail, evaluate, thumbnail, to_html,
};
use shelfwatch::image_file;
use shelfwatch::image_folder::{ImageEntry, ImageFolder};
use shelfwatch::method::{Collapse, Dimension, Options, Parameters, Statistics, nc5};
use shelfwatch::watch::Watch;
use shelfwatch_core::{SectionKind, Shelf};

use super::inputs;
use super::judged::{Wanted, empty_set, facts, judge, look};

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
        let mut set = empty_set(name);
        let mut sum: Vec<f64> = Vec::new();
        let load = |image: &ImageEntry| image_file::read(&image.path).map_err(|error| error.to_string());
        let wanted = Wanted { parameters: self.study.map(|study| &study.parameters), heat: false };
        judge(&mut self.detectors, &folder.images, load, wanted, name, self.watch, |i, judged| {
            let image = &folder.images[i];
            match judged {
                Ok(judged) => {
                    sum.resize(judged.feature.len(), 0.0);
                    sum.iter_mut().zip(&judged.feature).for_each(|(sum, value)| *sum += f64::from(*value));
                    set.images.push(judged.scored(&image.path.to_string_lossy(), image.class_folder()));
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
        let wanted = Wanted { parameters: None, heat: true };
        named
            .filter_map(|example| {
                let same = |image: &&ImageEntry| image.path.to_string_lossy() == example.path;
                let image = folders.iter().flat_map(|folder| &folder.images).find(same)?;
                let frame = image_file::read(&image.path).ok()?;
                let judged = look(detector, &frame, wanted).ok()?;
                let png = |frame| image_file::encode_png(&thumbnail(frame, PICTURE).ok()?).ok();
                let heat = judged.overlay.as_ref().and_then(png);
                Some(Thumbnail { path: example.path.clone(), png: png(&frame)?, heat })
            })
            .collect()
    }
}
