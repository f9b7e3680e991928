//! Strangers for the choice of a score: real ones from a folder, or good images with faults put in.

use std::path::Path;

use crate::detector::Frontend;
use crate::fit::error::FitError;
use crate::fit::pass::{Passes, load};
use crate::fit::pseudo::{Fault, apply};
use crate::image_folder::{ImageEntry, ImageFolder};
use crate::method::{Parameters, Scores};
use crate::workers::in_order;

/// Good images that every fault is put into.
const IMAGES: usize = 60;

/// Scores of a folder of strangers, one group a sub-folder.
pub(super) fn real(
    passes: &mut Passes<'_>,
    folder: &Path,
    parameters: &Parameters,
) -> Result<Vec<(String, Vec<Scores>)>, FitError> {
    let folder = ImageFolder::list(folder)?;
    let names = if folder.classes.is_empty() { vec!["strangers".to_owned()] } else { folder.classes.clone() };
    let mut groups: Vec<(String, Vec<Scores>)> = names.into_iter().map(|name| (name, Vec::new())).collect();
    passes.run(
        "strangers",
        &folder.images,
        false,
        |_| Ok(()),
        |i, taken| {
            groups[folder.images[i].class.unwrap_or(0)].1.push(parameters.scores(&taken.feature, &taken.logits)?);
            Ok(())
        },
    )?;
    groups.retain(|(_, scores)| !scores.is_empty());
    if groups.is_empty() { Err(FitError::NoImages { purpose: "compare scores with" }) } else { Ok(groups) }
}

/// Scores of good images with every fault of [`Fault::ALL`] put in, one group a fault.
pub(super) fn made(
    passes: &mut Passes<'_>,
    images: &[ImageEntry],
    parameters: &Parameters,
) -> Result<Vec<(String, Vec<Scores>)>, FitError> {
    let step = images.len().div_ceil(IMAGES).max(1);
    let chosen: Vec<&ImageEntry> = images.iter().step_by(step).collect();
    let work: Vec<(usize, usize)> =
        (0..chosen.len()).flat_map(|image| (0..Fault::ALL.len()).map(move |fault| (image, fault))).collect();
    let mut groups: Vec<(String, Vec<Scores>)> =
        Fault::ALL.iter().map(|fault| (fault.name().to_owned(), Vec::new())).collect();
    let (watch, total) = (passes.watch, work.len() as u64);
    let score = |frontend: &mut Frontend, (image, fault): &(usize, usize)| -> Option<Scores> {
        let (_, frame) = load(chosen[*image], frontend.recipe()).ok()?;
        let (_, other) = load(chosen[(image + 1) % chosen.len()], frontend.recipe()).ok()?;
        let strange = apply(Fault::ALL[*fault], &frame, &other, (image * Fault::ALL.len() + fault) as u64);
        let activations = frontend.run(&strange, false).ok()?;
        parameters.scores(activations.feature, activations.logits).ok()
    };
    in_order(&mut passes.workers, &work, score, |i, scores| {
        // A file that could not be used was named when it was calibrated with.
        groups[work[i].1].1.extend(scores);
        watch.progress("strangers", i as u64 + 1, total);
        Ok::<(), FitError>(())
    })?;
    groups.retain(|(_, scores)| !scores.is_empty());
    Ok(groups)
}
