//! A pass over image files on all threads, results in the order of the files. A file that cannot be used is named and
//! counted once, and ends the pass beyond the limit.

use std::path::PathBuf;

use super::error::QuantiseError;
use crate::detector::DetectorError;
use crate::frame::Frame;
use crate::image_file::{MAX_FILE, decode};
use crate::image_folder::ImageEntry;
use crate::shelf::read_bounded;
use crate::watch::Watch;
use crate::workers::in_order;

/// What happens over all passes.
pub(super) struct Passes<'a> {
    pub(super) watch: &'a dyn Watch,
    pub(super) max_bad: u64,
    pub(super) bad: Vec<(PathBuf, String)>,
}

impl Passes<'_> {
    /// Shows every image to a worker and hands on what that made of it.
    pub(super) fn run<W: Send, T: Send>(
        &mut self,
        stage: &str,
        workers: &mut [W],
        images: &[ImageEntry],
        look: impl Fn(&mut W, &Frame) -> Result<T, DetectorError> + Sync,
        mut take: impl FnMut(T),
    ) -> Result<(), QuantiseError> {
        let known = |image: &&ImageEntry| !self.bad.iter().any(|(path, _)| *path == image.path);
        let images: Vec<&ImageEntry> = images.iter().filter(known).collect();
        let (watch, max_bad, bad) = (self.watch, self.max_bad, &mut self.bad);
        let total = images.len() as u64;
        watch.progress(stage, 0, total);
        let work = |worker: &mut W, image: &&ImageEntry| -> Result<T, String> {
            let bytes = read_bounded(&image.path, MAX_FILE).map_err(|error| error.to_string())?;
            let frame = decode(&bytes).map_err(|error| error.to_string())?;
            look(worker, &frame).map_err(|error| error.to_string())
        };
        in_order(workers, &images, work, |i, result| {
            match result {
                Ok(made) => take(made),
                Err(reason) => {
                    let path = &images[i].path;
                    watch.note(&format!("{}: {reason}", path.display()));
                    bad.push((path.clone(), reason));
                    let count = bad.len() as u64;
                    if count > max_bad {
                        let last = format!("{}: {}", path.display(), bad[bad.len() - 1].1);
                        return Err(QuantiseError::TooManyBad { count, limit: max_bad, last });
                    }
                }
            }
            watch.progress(stage, i as u64 + 1, total);
            Ok(())
        })
    }
}
