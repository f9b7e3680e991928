//! Images judged by a shelf, on all threads: what `score`, `eval` and `demo` share.

use anyhow::Result;
use shelfwatch::detector::{Detector, Reading};
use shelfwatch::evaluate::{self, Call, HeatMap, ImageSet, OperatingPoint, ScoreRow, ScoredImage, Seen, ShelfFacts};
use shelfwatch::fit::join;
use shelfwatch::frame::Frame;
use shelfwatch::method::Parameters;
use shelfwatch::preprocess::Recipe;
use shelfwatch::watch::Watch;
use shelfwatch::workers::in_order;
use shelfwatch_core::{Header, Judgement, ScoreKind};

/// One judged image.
pub(super) struct Judged {
    pub(super) reading: Reading,
    /// Every score, where parameters were given.
    pub(super) scores: ScoreRow,
    /// The feature, where parameters were given.
    pub(super) feature: Vec<f32>,
    /// The frame with its heat map over it, where that was asked for and there is one.
    pub(super) overlay: Option<Frame>,
    /// Cell of the largest heat as a box in the frame's pixels: left, top, width, height.
    pub(super) peak: Option<[f32; 4]>,
}

/// What to find out beside the reading.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// Every score, by these parameters.
    pub(super) parameters: Option<&'a Parameters>,
    /// Overlays of flagged images.
    pub(super) heat: bool,
}

/// Judges every item; `load` gives its frame. What cannot be judged comes with the reason.
pub(super) fn judge<I: Sync>(
    detectors: &mut [Detector<'_>],
    items: &[I],
    load: impl Fn(&I) -> Result<Frame, String> + Sync,
    wanted: Wanted<'_>,
    stage: &str,
    watch: &dyn Watch,
    mut take: impl FnMut(usize, Result<Judged, String>) -> Result<()>,
) -> Result<()> {
    let total = items.len() as u64;
    watch.progress(stage, 0, total);
    let work = |detector: &mut Detector<'_>, item: &I| {
        let frame = load(item)?;
        look(detector, &frame, wanted)
    };
    in_order(detectors, items, work, |i, judged| {
        take(i, judged)?;
        watch.progress(stage, i as u64 + 1, total);
        Ok(())
    })
}

/// Judges one frame.
pub(super) fn look(detector: &mut Detector<'_>, frame: &Frame, wanted: Wanted<'_>) -> Result<Judged, String> {
    let recipe = wanted.heat.then(|| Recipe::from_toml(detector.shelf().header().recipe)).transpose();
    let recipe = recipe.map_err(|error| error.to_string())?;
    let seen = detector.look(frame, wanted.heat).map_err(|error| error.to_string())?;
    let mut judged = Judged {
        reading: seen.reading,
        scores: [None; ScoreKind::ALL.len()],
        feature: Vec::new(),
        overlay: None,
        peak: None,
    };
    if let Some(parameters) = wanted.parameters {
        let scores =
            parameters.scores(seen.activations.feature, seen.activations.logits).map_err(|error| error.to_string())?;
        judged.scores = ScoreKind::ALL.map(|kind| scores.get(kind));
        judged.feature = seen.activations.feature.to_vec();
    }
    if let (Some(recipe), Some(heat)) = (recipe, seen.heat) {
        let [x, y, width, height] = recipe.window(frame.width(), frame.height());
        let rows = heat.cells.len() / heat.columns;
        let map = HeatMap { values: heat.cells, height: rows, width: heat.columns };
        let overlay = evaluate::overlay(frame, &map, Seen { x, y, width, height }, heat.scale);
        judged.overlay = Some(overlay.map_err(|error| error.to_string())?);
        let hottest = heat.cells.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
        let (cell_w, cell_h) = (width / heat.columns as f32, height / rows as f32);
        let (column, row) = (hottest % heat.columns, hottest / heat.columns);
        judged.peak = Some([x + column as f32 * cell_w, y + row as f32 * cell_h, cell_w, cell_h]);
    }
    Ok(judged)
}

impl Judged {
    /// As an evaluation takes it.
    pub(super) fn scored(&self, path: &str, class: Option<&str>) -> ScoredImage {
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

/// An empty set of that name.
pub(super) fn empty_set(name: &str) -> ImageSet {
    ImageSet { name: name.to_owned(), images: Vec::new(), faults: Vec::new() }
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
pub(super) fn facts(header: &Header<'_>) -> ShelfFacts {
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
