//! Files that appear in a folder, oldest first. A file is taken when its size and its time have not changed for 200 ms.
//! Refuses everything but plain files that can be read: each is named once and put aside.
//!
//! The folder is polled: inotify tells nothing of what other machines write to a network mount, and its queue overflows.

mod tray;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use self::tray::Stamp;
pub use self::tray::Tray;
use crate::camera::{Camera, CameraError, lost};
use crate::capture::{Capture, Moment};
use crate::image_file::MAX_FILE;

/// From one look to the next; longer where a look takes long.
const POLL: Duration = Duration::from_millis(50);
/// A folder with files in hand is looked through again after this, for older ones that came meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Unchanged for so long, a file is complete.
const SETTLED: Duration = Duration::from_millis(200);
/// An empty file is given longer: many writers create it before they have anything to write.
const EMPTY_SETTLED: Duration = Duration::from_secs(5);
/// Most entries looked at in one folder.
const MOST_ENTRIES: usize = 200_000;
/// Endings of files that are still being written.
const UNFINISHED: [&[u8]; 3] = [b".part", b".tmp", b".filepart"];

/// A file that lies in the folder and was not taken yet.
struct Sighting {
    stamp: Stamp,
    since: Instant,
    /// When it was first seen with this stamp.
    noticed: Moment,
}

/// A watched folder.
pub(super) struct Folder {
    name: String,
    tray: Tray,
    /// The entry of the folder through which `moved_to` is reached, if it lies inside.
    inner: Option<OsString>,
    seen: HashMap<OsString, Sighting>,
    /// Complete files, the newest first.
    ready: Vec<(Stamp, OsString)>,
    present: HashSet<OsString>,
    looked: Option<Instant>,
    pause: Duration,
    /// When the file before was handed out.
    last: Moment,
}

impl Folder {
    /// Makes sure that both folders are there.
    pub(super) fn open(tray: Tray) -> Result<Self, CameraError> {
        let name = format!("folder {}", tray.folder().display());
        let mut inner = None;
        if let Some(to) = tray.moved_to() {
            let made = fs::create_dir_all(to).and_then(|()| Ok((to.canonicalize()?, tray.folder().canonicalize()?)));
            let (to, from) = made.map_err(|error| {
                lost(&name, format!("the folders cannot be used ({error}); make both, and let the service write there"))
            })?;
            inner = to.strip_prefix(from).ok().and_then(|below| below.iter().next()).map(OsStr::to_owned);
        }
        let mut folder = Self {
            name,
            tray,
            inner,
            seen: HashMap::new(),
            ready: Vec::new(),
            present: HashSet::new(),
            looked: None,
            pause: POLL,
            last: Moment::now(),
        };
        folder.look()?;
        Ok(folder)
    }

    /// Reads the folder and notes which files are complete.
    fn look(&mut self) -> Result<(), CameraError> {
        let begun = Instant::now();
        let gone = |error: io::Error| {
            lost(&self.name, format!("it cannot be read ({error}); make or mount it, and let the service read it"))
        };
        self.present.clear();
        for entry in fs::read_dir(self.tray.folder()).map_err(gone)?.take(MOST_ENTRIES) {
            let entry = entry.map_err(gone)?;
            let name = entry.file_name();
            if is_unfinished(&name) || self.inner.as_ref() == Some(&name) {
                continue;
            }
            // Gone since it was listed.
            let Ok(metadata) = entry.metadata() else { continue };
            let stamp = Stamp::of(&metadata);
            if !self.tray.holds(&name, stamp) && self.seen.get(&name).is_none_or(|sighting| sighting.stamp != stamp) {
                let sighting = Sighting { stamp, since: begun, noticed: Moment::now() };
                self.seen.insert(name.clone(), sighting);
            }
            self.present.insert(name);
        }
        let (tray, present) = (&self.tray, &self.present);
        self.seen.retain(|name, sighting| present.contains(name) && !tray.holds(name, sighting.stamp));
        tray.forget_gone(present);
        self.ready.clear();
        let complete = self.seen.iter().filter(|(_, sighting)| {
            let wait = if sighting.stamp.size == 0 { EMPTY_SETTLED } else { SETTLED };
            begun.duration_since(sighting.since) >= wait
        });
        self.ready.extend(complete.map(|(name, sighting)| (sighting.stamp, name.clone())));
        // The oldest comes last, where it is taken off; equal times go by name.
        let key = |(stamp, name): &(Stamp, OsString)| (stamp.modified(), name.clone());
        self.ready.sort_by_cached_key(key);
        self.ready.reverse();
        self.looked = Some(Instant::now());
        self.pause = POLL.max(begun.elapsed() * 4);
        Ok(())
    }

    /// Reads a complete file; `false` when it is not complete after all, or gone.
    fn take(&mut self, name: &OsStr, stamp: Stamp, into: &mut Capture) -> Result<bool, CameraError> {
        let noticed = self.seen.remove(name).map_or_else(Moment::now, |sighting| sighting.noticed);
        into.clear();
        let path = self.tray.folder().join(name);
        match read(&path, stamp, &mut into.bytes) {
            Ok(()) => {}
            Err(Unread::Changed) => return Ok(false),
            Err(Unread::Folder) => {
                self.tray.leave(name, stamp);
                let reason = "it is a folder, and folders are not searched; put the images beside it".to_owned();
                return Err(CameraError::File { path, reason });
            }
            Err(Unread::Because(reason)) => {
                let reason = format!("{reason} ({})", self.tray.remove(name, stamp, "unreadable"));
                return Err(CameraError::File { path, reason });
            }
        }
        self.tray.take(name, stamp);
        // A file waits on disk for its turn, and that is no part of the time that judging takes.
        let turn = noticed.monotonic.max(self.last.monotonic);
        into.taken = Moment::at(turn);
        into.file = Some(path);
        self.last = Moment::now();
        Ok(true)
    }
}

impl Camera for Folder {
    fn next(&mut self, timeout: Duration, into: &mut Capture) -> Result<(), CameraError> {
        let begun = Instant::now();
        loop {
            let since = self.looked.map_or(Duration::MAX, |looked| looked.elapsed());
            if since >= LOOK_AGAIN.max(self.pause) || self.ready.is_empty() && since >= self.pause {
                self.look()?;
            }
            while let Some((stamp, name)) = self.ready.pop() {
                if self.take(&name, stamp, into)? {
                    return Ok(());
                }
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(CameraError::NoImage { waited: timeout });
            }
            thread::sleep(left.min(self.pause));
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn waits(&self) -> bool {
        true
    }
}

/// Why a file was not read.
enum Unread {
    /// It changed or went away: not complete.
    Changed,
    /// It is a folder.
    Folder,
    /// It is no file that can be read.
    Because(String),
}

/// Reads a plain file that still has the stamp, without following links or waiting for a writer.
fn read(path: &PathBuf, stamp: Stamp, into: &mut Vec<u8>) -> Result<(), Unread> {
    let metadata = fs::symlink_metadata(path).map_err(|_| Unread::Changed)?;
    if let Some(kind) = special(metadata.file_type()) {
        return Err(kind);
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Changed,
        _ => Unread::Because(format!("it cannot be opened: {error}; let the service read it")),
    })?;
    let same = |file: &File| file.metadata().is_ok_and(|now| now.is_file() && Stamp::of(&now) == stamp);
    if !same(&file) {
        return Err(Unread::Changed);
    }
    if stamp.size == 0 {
        return Err(Unread::Because("it is empty; copy it again".to_owned()));
    }
    if stamp.size > MAX_FILE {
        let reason = format!("it has {} bytes, more than the {MAX_FILE} allowed; use a smaller image", stamp.size);
        return Err(Unread::Because(reason));
    }
    into.reserve_exact(stamp.size as usize);
    let count = (&file).take(MAX_FILE + 1).read_to_end(into);
    let count = count.map_err(|error| Unread::Because(format!("it cannot be read: {error}; copy it again")))?;
    if count as u64 != stamp.size || !same(&file) {
        return Err(Unread::Changed);
    }
    Ok(())
}

/// What is no plain file.
fn special(kind: FileType) -> Option<Unread> {
    let what = match kind {
        kind if kind.is_file() => return None,
        kind if kind.is_dir() => return Some(Unread::Folder),
        kind if kind.is_symlink() => "a symbolic link, which is not followed",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Some(Unread::Because(format!("it is {what}; put plain files there")))
}

fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let ends = |end: &[u8]| name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end);
    name.starts_with(b".") || UNFINISHED.into_iter().any(ends)
}
