//! A pass over image files: every file through the frontend, on all threads, results in the order of the files.
//! A file that cannot be used is named and counted, and ends the pass beyond the limit.

use std::path::PathBuf;

use crate::backbone::Activations;
use crate::detector::{DetectorError, Frontend};
use crate::digest::sha256;
use crate::fit::error::FitError;
use crate::frame::Frame;
use crate::image_file::MAX_FILE;
use crate::image_folder::ImageEntry;
use crate::intake;
use crate::preprocess::Recipe;
use crate::shelf::read_bounded;
use crate::watch::Watch;
use crate::workers::in_order;

/// What happens over all passes of a fit.
pub(super) struct Passes<'a> {
    pub(super) workers: Vec<Frontend>,
    pub(super) watch: &'a dyn Watch,
    pub(super) max_bad: u64,
    pub(super) bad: Vec<(PathBuf, String)>,
}

/// What one file gave.
pub(super) struct Taken<T> {
    /// First eight bytes of the file's SHA-256.
    pub(super) key: u64,
    pub(super) feature: Vec<f32>,
    pub(super) logits: Vec<f32>,
    /// What the caller made of the activations.
    pub(super) more: T,
}

impl Passes<'_> {
    /// Runs every image, for its map where that is asked for, and hands on what it gave; `more` runs on the threads.
    pub(super) fn run<T: Send>(
        &mut self,
        stage: &str,
        images: &[ImageEntry],
        with_map: bool,
        more: impl Fn(&Activations<'_>) -> Result<T, DetectorError> + Sync,
        mut take: impl FnMut(usize, Taken<T>) -> Result<(), FitError>,
    ) -> Result<(), FitError> {
        let (watch, max_bad, bad) = (self.watch, self.max_bad, &mut self.bad);
        let total = images.len() as u64;
        watch.progress(stage, 0, total);
        let work = |frontend: &mut Frontend, image: &ImageEntry| -> Result<Taken<T>, String> {
            let (key, frame) = load(image, frontend.recipe())?;
            let activations = frontend.run(&frame, with_map).map_err(|error| error.to_string())?;
            let more = more(&activations).map_err(|error| error.to_string())?;
            let values = activations.feature.iter().chain(activations.logits);
            if !values.clone().all(|value| value.is_finite()) {
                return Err("the backbone gives values that are not finite".to_owned());
            }
            let (feature, logits) = (activations.feature.to_vec(), activations.logits.to_vec());
            Ok(Taken { key, feature, logits, more })
        };
        in_order(&mut self.workers, images, work, |i, result| {
            match result {
                Ok(taken) => take(i, taken)?,
                Err(reason) => {
                    watch.note(&format!("{}: {reason}", images[i].path.display()));
                    bad.push((images[i].path.clone(), reason));
                    let count = bad.len() as u64;
                    if count > max_bad {
                        let last = format!("{}: {}", images[i].path.display(), bad[bad.len() - 1].1);
                        return Err(FitError::TooManyBad { count, limit: max_bad, last });
                    }
                }
            }
            watch.progress(stage, i as u64 + 1, total);
            Ok(())
        })
    }
}

/// Key and frame of a file.
pub(super) fn load(image: &ImageEntry, recipe: &Recipe) -> Result<(u64, Frame), String> {
    let bytes = read_bounded(&image.path, MAX_FILE).map_err(|error| error.to_string())?;
    let frame = intake::file(&bytes, recipe).map_err(|error| error.to_string())?;
    Ok((key(&bytes), frame))
}

/// First eight bytes of the file's SHA-256.
pub(super) fn key(bytes: &[u8]) -> u64 {
    let hash = sha256(bytes);
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}
