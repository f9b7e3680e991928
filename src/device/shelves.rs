//! The shelves of a device: read once each, proven on this machine, and forked for the stations that share one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::install::{Trust, screen};
use super::proof::prove;
use crate::config::{Config, Station};
use crate::detector::Detector;
use crate::digest::{hexadecimal, sha256};
use crate::shelf::read_bounded;

/// Largest shelf or backbone file, in bytes.
const LARGEST: u64 = 1 << 30;
/// Between two looks at files that may be replaced.
const LOOK: Duration = Duration::from_secs(1);

/// The bytes of a shelf and, for a detached one, of its backbone.
pub(super) struct ShelfFile {
    path: PathBuf,
    backbone: Option<PathBuf>,
    read: Result<(Vec<u8>, Option<Vec<u8>>), String>,
    /// When the files had last been changed before they were read.
    changed: Vec<Option<SystemTime>>,
}

impl ShelfFile {
    /// Reads the files of every station, each once.
    pub(super) fn read_all(stations: &[Station]) -> Vec<Self> {
        let mut files: Vec<Self> = Vec::new();
        for station in stations {
            if !files.iter().any(|file| file.is_of(station)) {
                files.push(Self::read(&station.shelf, station.backbone.as_deref()));
            }
        }
        files
    }

    fn read(path: &Path, backbone: Option<&Path>) -> Self {
        let bytes = |path: &Path| read_bounded(path, LARGEST).map_err(|error| error.to_string());
        // Before the bytes: a file that changes while it is read counts as changed afterwards.
        let changed = times(path, backbone);
        let read = bytes(path).and_then(|shelf| Ok((shelf, backbone.map(bytes).transpose()?)));
        Self { path: path.to_owned(), backbone: backbone.map(Path::to_owned), read, changed }
    }

    /// Whether this is the shelf of that station.
    pub(super) fn is_of(&self, station: &Station) -> bool {
        self.path == station.shelf && self.backbone == station.backbone
    }

    /// Whether the files have changed since they were read.
    pub(super) fn has_changed(&self) -> bool {
        self.times() != self.changed
    }

    /// When the files were last changed.
    fn times(&self) -> Vec<Option<SystemTime>> {
        times(&self.path, self.backbone.as_deref())
    }

    /// SHA-256 of the shelf, hexadecimal; zeros where it could not be read.
    pub(super) fn hash(&self) -> String {
        let hash = self.read.as_ref().map_or([0; 32], |(shelf, _)| sha256(shelf));
        hexadecimal(&hash)
    }

    /// The shelf with its backbone, from somebody who is trusted and proven by its golden images.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn detector(&self, trust: &Trust) -> Result<Detector<'_>, String> {
        let (shelf, onnx) = self.read.as_ref().map_err(Clone::clone)?;
        let name = self.path.display();
        let (shelf, _) = screen(shelf, trust).map_err(|error| format!("{name}: {error}"))?;
        let mut detector = Detector::new(shelf, onnx.as_deref()).map_err(|error| format!("{name}: {error}"))?;
        let proof = prove(&mut detector).map_err(|error| format!("{name}: {error}"))?;
        tracing::info!(
            shelf = %name,
            images = proof.images,
            exact = proof.exact,
            "proven: golden images got their scores, the largest relative difference is {:e}",
            proof.largest
        );
        Ok(detector)
    }
}

/// Notices shelves that were replaced while stations use them.
pub(super) struct Replacements<'f> {
    files: &'f [ShelfFile],
    seen: Vec<Vec<Option<SystemTime>>>,
    /// Something was replaced, or is being written.
    pending: bool,
    due: Instant,
}

impl<'f> Replacements<'f> {
    pub(super) fn of(files: &'f [ShelfFile]) -> Self {
        Self {
            files,
            seen: files.iter().map(|file| file.changed.clone()).collect(),
            pending: false,
            due: Instant::now(),
        }
    }

    /// True once for each replacement, when nothing has changed any more between two looks.
    pub(super) fn poll(&mut self) -> bool {
        let now = Instant::now();
        if now < self.due {
            return false;
        }
        self.due = now + LOOK;
        let times: Vec<_> = self.files.iter().map(ShelfFile::times).collect();
        let changed = times != self.seen;
        self.seen = times;
        let replaced = self.pending && !changed;
        self.pending = changed;
        replaced
    }
}

fn times(path: &Path, backbone: Option<&Path>) -> Vec<Option<SystemTime>> {
    let paths = [Some(path), backbone].into_iter().flatten();
    paths.map(|path| fs::metadata(path).and_then(|facts| facts.modified()).ok()).collect()
}

/// A detector for each station, or why there is none; stations on the same shelf share its prepared backbone.
pub(super) fn detectors<'f>(config: &Config, files: &'f [ShelfFile]) -> Vec<Result<Detector<'f>, String>> {
    let trust = Trust::read(&config.install).map_err(|error| error.to_string());
    let stations = &config.station;
    let mut made: Vec<Result<Detector<'f>, String>> = Vec::new();
    for (place, station) in stations.iter().enumerate() {
        let same = |other: &Station| (&other.shelf, &other.backbone) == (&station.shelf, &station.backbone);
        let next = if let Some(first) = stations[..place].iter().position(same) {
            let first = made[first].as_ref().map_err(Clone::clone);
            first.and_then(|first| first.fork().map_err(|error| error.to_string()))
        } else {
            let file = files.iter().find(|file| file.is_of(station));
            let file = file.ok_or_else(|| "no shelf was read".to_owned());
            file.and_then(|file| file.detector(trust.as_ref().map_err(Clone::clone)?))
        };
        made.push(next.and_then(|mut detector| {
            detector.set_threads(station.threads.into()).map_err(|error| error.to_string())?;
            Ok(detector)
        }));
    }
    made
}
