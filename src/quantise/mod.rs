//! From a float classifier and good images to an int8 one: ranges of the activations, what helps against rounding, and how
//! far the feature moves. Refuses to choose on the images that it reports on.

mod calibration;
mod drift;
mod error;
mod histogram;
mod options;
mod pass;

use std::path::PathBuf;

use serde::Serialize;

pub use drift::Drift;
pub use error::QuantiseError;
pub use options::{Apply, Calibration, QuantiseOptions};

use crate::backbone::TapChoice;
use crate::backbone::quantise::{Correction, FloatNetwork, Moments, Probe, QuantisedFile, Range};
use crate::detector::Frontend;
use crate::image_folder::{ImageEntry, ImageFolder};
use crate::preprocess::{Preprocess, Recipe};
use crate::watch::Watch;
use crate::workers::threads;
use histogram::Histogram;
use pass::Passes;

/// Images on which what helps is chosen, at most.
const TRIED: usize = 128;

/// A treatment is kept where it takes at least this share off the feature's drift.
const WORTH: f64 = 0.01;

/// A quantised network and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// What was done, and how far the result is from the float network.
    pub report: Report,
}

/// What was done, and how far the result is from the float network.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How the ranges were taken.
    pub calibration: Calibration,
    /// Images that the ranges were taken from.
    pub images: u64,
    /// Places between two convolutions that were equalised.
    pub equalised: usize,
    /// Layers whose bias was corrected.
    pub corrected: usize,
    /// Batch normalisations that became part of a convolution.
    pub folded: usize,
    /// Nodes of the float network that compute in int8.
    pub quantised: usize,
    /// Operators of those that do not, with their number.
    pub left: Vec<(String, usize)>,
    /// Bytes of the float file and of the quantised one.
    pub bytes: [usize; 2],
    /// Float against int8, on images that nothing was taken from.
    pub held: Drift,
    /// Files that could not be used, with the reason.
    pub bad: Vec<(PathBuf, String)>,
}

/// One way to quantise, with the drift on the images that it is chosen by.
struct Variant {
    file: QuantisedFile,
    ranges: Vec<Range>,
    equalised: usize,
    corrected: usize,
    drift: f64,
}

/// What all variants share.
struct Bench<'a> {
    onnx: &'a [u8],
    choice: &'a TapChoice,
    recipe: &'a Recipe,
    options: &'a QuantiseOptions,
    ranged: Vec<ImageEntry>,
    passes: Passes<'a>,
}

/// Quantises a network. A third of the images, whole lots where there are any, is held back for the report; the ranges and
/// every choice come from the others.
///
/// # Errors
/// [`QuantiseError`].
pub fn quantise(
    onnx: &[u8],
    choice: &TapChoice,
    recipe: &Recipe,
    images: ImageFolder,
    options: &QuantiseOptions,
    watch: &dyn Watch,
) -> Result<Quantised, QuantiseError> {
    let network = FloatNetwork::read(onnx, choice, recipe.shape())?;
    let (ranged, held) = apart(images)?;
    let (ranged, held) = (spread(ranged, options.most), spread(held, options.most));
    let passes = Passes { watch, max_bad: options.max_bad, bad: Vec::new() };
    let mut bench = Bench { onnx, choice, recipe, options, ranged, passes };
    let mut best = None;
    if options.equalise != Apply::On {
        best = Some(bench.variant(&network, 0)?);
    }
    if options.equalise != Apply::Off
        && let Some((equalised, places)) = network.equalised()?
    {
        let other = bench.variant(&equalised, places)?;
        let better = best.as_ref().is_none_or(|b| other.drift < (1.0 - WORTH) * b.drift);
        best = if better { Some(other) } else { best };
    }
    let best = match best {
        Some(best) => best,
        None => bench.variant(&network, 0)?,
    };
    let held_drift = bench.drift("compare", &best.file.onnx, &held)?;
    let mut left: Vec<(String, usize)> = Vec::new();
    for op in &best.file.left {
        match left.iter_mut().find(|(name, _)| name == op) {
            Some((_, count)) => *count += 1,
            None => left.push((op.clone(), 1)),
        }
    }
    let used = |image: &&ImageEntry| !bench.passes.bad.iter().any(|(path, _)| *path == image.path);
    let report = Report {
        calibration: options.calibration,
        images: bench.ranged.iter().filter(used).count() as u64,
        equalised: best.equalised,
        corrected: best.corrected,
        folded: network.folded(),
        quantised: best.file.quantised,
        left,
        bytes: [onnx.len(), best.file.onnx.len()],
        held: held_drift,
        bad: bench.passes.bad,
    };
    Ok(Quantised { onnx: best.file.onnx, report })
}

/// Images to take from, and others to report on.
fn apart(images: ImageFolder) -> Result<(Vec<ImageEntry>, Vec<ImageEntry>), QuantiseError> {
    let found = images.images.len();
    if found < 3 {
        return Err(QuantiseError::TooFew { found });
    }
    let all = images.images.clone();
    let split = images.split();
    if !split.fit.is_empty() && !split.calibrate.is_empty() {
        return Ok((split.fit, split.calibrate));
    }
    let third = |at: usize| at % 3 == 2;
    let (held, ranged): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(at, _)| third(*at));
    let bare = |images: Vec<(usize, ImageEntry)>| images.into_iter().map(|(_, image)| image).collect();
    Ok((bare(ranged), bare(held)))
}

/// At most `most` images, evenly over the list and so over its classes.
fn spread(images: Vec<ImageEntry>, most: usize) -> Vec<ImageEntry> {
    let found = images.len();
    if found <= most {
        return images;
    }
    (0..most).map(|at| images[at * found / most].clone()).collect()
}

impl Bench<'_> {
    fn threads(&self) -> usize {
        threads(self.options.threads)
    }

    /// The best quantisation of this form of the network.
    fn variant(&mut self, network: &FloatNetwork, equalised: usize) -> Result<Variant, QuantiseError> {
        let ranges = self.ranges(network)?;
        let tried = spread(self.ranged.clone(), TRIED);
        let file = network.quantise(&ranges, None)?;
        let drift = self.drift("try", &file.onnx, &tried)?.scatter;
        let plain = Variant { file, ranges, equalised, corrected: 0, drift };
        if self.options.correct == Apply::Off {
            return Ok(plain);
        }
        let correction = self.correction(network, &plain.ranges, &tried)?;
        let file = network.quantise(&plain.ranges, Some(&correction))?;
        let drift = self.drift("try", &file.onnx, &tried)?.scatter;
        if self.options.correct == Apply::Auto && drift >= (1.0 - WORTH) * plain.drift {
            return Ok(plain);
        }
        Ok(Variant { file, corrected: correction.layers(), drift, ..plain })
    }

    /// The ranges of all tensors that carry a pair.
    fn ranges(&mut self, network: &FloatNetwork) -> Result<Vec<Range>, QuantiseError> {
        let probe = network.observer()?;
        let fresh = || vec![Histogram::default(); network.tensors().len()];
        let mut workers = Vec::new();
        for _ in 0..self.threads() {
            workers.push((Preprocess::new(self.recipe), probe.fork()?, fresh()));
        }
        let look = |(preprocess, probe, histograms): &mut (Preprocess, Probe, Vec<Histogram>), frame: &_| {
            let pixels = preprocess.run(frame)?;
            probe.run(pixels, |at, values| histograms[at].add(values))?;
            Ok(())
        };
        let mut seen = 0;
        self.passes.run("ranges", &mut workers, &self.ranged, look, |()| seen += 1)?;
        if seen == 0 {
            return Err(QuantiseError::NoImages);
        }
        let mut all = fresh();
        for (_, _, histograms) in &workers {
            all.iter_mut().zip(histograms).for_each(|(all, one)| all.merge(one));
        }
        Ok(all.iter().map(|histogram| self.options.calibration.range(histogram)).collect())
    }

    fn correction(
        &mut self,
        network: &FloatNetwork,
        ranges: &[Range],
        images: &[ImageEntry],
    ) -> Result<Correction, QuantiseError> {
        let (probe, mut moments) = network.corrector(ranges)?;
        let mut workers = Vec::new();
        for _ in 0..self.threads() {
            workers.push((Preprocess::new(self.recipe), probe.fork()?));
        }
        let look = |(preprocess, probe): &mut (Preprocess, Probe), frame: &_| {
            let pixels = preprocess.run(frame)?;
            Ok(Moments::look(probe, pixels)?)
        };
        self.passes.run("biases", &mut workers, images, look, |means| moments.add(&means))?;
        Ok(moments.correction())
    }

    /// Float against `onnx` on these images.
    fn drift(&mut self, stage: &str, onnx: &[u8], images: &[ImageEntry]) -> Result<Drift, QuantiseError> {
        let (float, other) =
            (Frontend::new(self.onnx, self.choice, self.recipe)?, Frontend::new(onnx, self.choice, self.recipe)?);
        let mut workers = Vec::new();
        for _ in 0..self.threads() {
            workers.push((float.fork()?, other.fork()?));
        }
        let mut sums = drift::Sums::default();
        let look = |(float, other): &mut (Frontend, Frontend), frame: &_| {
            Ok(drift::Pair::new(float.run(frame, false)?, other.run(frame, false)?))
        };
        self.passes.run(stage, &mut workers, images, look, |pair| sums.add(&pair))?;
        sums.drift().ok_or(QuantiseError::NoImages)
    }
}
