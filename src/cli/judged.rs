//! Images judged by a shelf, on all threads: what `score`, `replay`, `eval` and `demo` share.

use anyhow::Result;
use shelfwatch::detector::{Detector, Reading};
use shelfwatch::frame::Frame;
use shelfwatch::heat_map::{HeatMap, Overlay, Seen, overlay};
use shelfwatch::preprocess::Recipe;
use shelfwatch::watch::Watch;
use shelfwatch::workers::in_order;

/// One judged image.
pub(super) struct Judged {
    pub(super) reading: Reading,
    /// The frame with its heat map over it, where that was asked for and there is one.
    pub(super) overlay: Option<Overlay>,
}

/// Has every item looked at; `load` gives its frame, as the recipe wants it. What cannot be judged comes with the reason.
pub(super) fn judge<I: Sync, J: Send>(
    detectors: &mut [Detector<'_>],
    items: &[I],
    load: impl Fn(&I, &Recipe) -> Result<Frame, String> + Sync,
    look: impl Fn(&mut Detector<'_>, &Frame) -> Result<J, String> + Sync,
    stage: &str,
    watch: &dyn Watch,
    mut take: impl FnMut(usize, Result<J, String>) -> Result<()>,
) -> Result<()> {
    let total = items.len() as u64;
    watch.progress(stage, 0, total);
    let work = |detector: &mut Detector<'_>, item: &I| {
        let frame = load(item, detector.frontend().recipe())?;
        look(detector, &frame)
    };
    in_order(detectors, items, work, |i, judged| {
        take(i, judged)?;
        watch.progress(stage, i as u64 + 1, total);
        Ok(())
    })
}

/// Judges one frame; with its heat map where that is `wanted`.
pub(super) fn look(detector: &mut Detector<'_>, frame: &Frame, wanted: bool) -> Result<Judged, String> {
    let recipe = wanted.then(|| Recipe::from_toml(detector.shelf().header().recipe)).transpose();
    let recipe = recipe.map_err(|error| error.to_string())?;
    let seen = detector.look(frame, wanted).map_err(|error| error.to_string())?;
    let mut judged = Judged { reading: seen.reading, overlay: None };
    if let (Some(recipe), Some(heat)) = (recipe, seen.heat) {
        let [x, y, width, height] = recipe.window(frame);
        let rows = heat.cells.len() / heat.columns;
        let map = HeatMap { values: heat.cells, height: rows, width: heat.columns };
        let drawn = overlay(frame, &map, Seen { x, y, width, height }, heat.scale);
        judged.overlay = Some(drawn.map_err(|error| error.to_string())?);
    }
    Ok(judged)
}
