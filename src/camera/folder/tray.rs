//! What becomes of the files of a watched folder: which are being judged, and where they go afterwards. Never overwrites a
//! file, and never deletes one that changed since it was read.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::camera::{CameraError, refused};
use crate::capture::Capture;
use crate::config::{After, Source};

/// Tells one content of a file from another: its size and its time of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    pub(super) size: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { modified: (metadata.mtime(), metadata.mtime_nsec()), size: metadata.len() }
    }

    /// When it was modified, in seconds and nanoseconds.
    pub(super) fn modified(self) -> (i64, i64) {
        self.modified
    }
}

/// Why a file is passed over while it lies in the folder.
#[derive(Clone, Copy)]
enum Held {
    /// It is being judged.
    InHand(Stamp),
    /// It stays where it is, unless it changes.
    Left(Stamp),
}

/// The folder with what is known of its files; shared by the source and whoever judges, over every reopening.
#[derive(Clone)]
pub struct Tray(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    after: After,
    moved_to: PathBuf,
    held: Mutex<HashMap<OsString, Held>>,
}

impl Tray {
    /// The tray of a folder source; `None` for the others.
    ///
    /// # Errors
    /// [`CameraError::Refused`] where `moved_to` is missing or is the folder itself.
    pub fn of(source: &Source) -> Result<Option<Self>, CameraError> {
        let Source::Folder { path, after, moved_to } = source else { return Ok(None) };
        let wrong = |reason: &str| refused(format!("folder {}", path.display()), reason);
        let moved_to = match (after, moved_to) {
            (After::Move, None) => return Err(wrong("`moved_to` is missing; name a folder for the judged files")),
            (_, moved_to) => moved_to.clone().unwrap_or_default(),
        };
        let same =
            moved_to == *path || matches!((moved_to.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if *after == After::Move && same {
            return Err(wrong("`moved_to` is the folder itself; name another one on the same file system"));
        }
        let held = Mutex::new(HashMap::new());
        Ok(Some(Self(Arc::new(Inner { folder: path.clone(), after: *after, moved_to, held }))))
    }

    /// The watched folder.
    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Where files go, if they are moved.
    pub(super) fn moved_to(&self) -> Option<&Path> {
        (self.0.after == After::Move).then_some(&self.0.moved_to)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<OsString, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file is to be passed over.
    pub(super) fn holds(&self, name: &OsStr, stamp: Stamp) -> bool {
        match self.held().get(name) {
            None => false,
            Some(Held::InHand(_)) => true,
            Some(Held::Left(left)) => *left == stamp,
        }
    }

    /// Notes that the file is being judged.
    pub(super) fn take(&self, name: &OsStr, stamp: Stamp) {
        self.held().insert(name.to_owned(), Held::InHand(stamp));
    }

    /// Leaves the file where it is.
    pub(super) fn leave(&self, name: &OsStr, stamp: Stamp) {
        self.held().insert(name.to_owned(), Held::Left(stamp));
    }

    /// Forgets left files that are gone.
    pub(super) fn forget_gone(&self, present: &HashSet<OsString>) {
        self.held().retain(|name, held| matches!(held, Held::InHand(_)) || present.contains(name));
    }

    /// Moves or deletes a file after it was judged; a capture from another source is none of its business.
    ///
    /// # Errors
    /// [`CameraError::Settle`]; the file stays and is not judged again.
    pub fn settle(&self, capture: &Capture) -> Result<(), CameraError> {
        let Some((path, name)) = self.own(capture) else { return Ok(()) };
        let Some(stamp) = self.unchanged(path, name) else { return Ok(()) };
        let (deed, done) = match self.0.after {
            After::Delete => ("delete", fs::remove_file(path)),
            After::Move => ("move", move_into(path, name, &self.0.moved_to).map(|_| ())),
        };
        match done {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                self.leave(name, stamp);
                Err(CameraError::Settle { path: path.to_owned(), deed, cause })
            }
            _ => {
                self.held().remove(name);
                Ok(())
            }
        }
    }

    /// Puts a file aside that turned out to be no image: into `moved_to/unreadable`, or left and not read again.
    /// Returns where it is, for a message.
    pub fn set_aside(&self, capture: &Capture) -> String {
        self.put_away(capture, "unreadable")
    }

    /// Puts a file aside that no trigger asked for: into `moved_to/unasked`, or left and not read again.
    pub(in crate::camera) fn pass_over(&self, capture: &Capture) {
        self.put_away(capture, "unasked");
    }

    fn put_away(&self, capture: &Capture, kind: &str) -> String {
        match self.own(capture).and_then(|(path, name)| Some((name, self.unchanged(path, name)?))) {
            Some((name, stamp)) => self.remove(name, stamp, kind),
            None => "it has gone or changed".to_owned(),
        }
    }

    /// Moves the file into a folder below `moved_to`, or leaves it.
    pub(super) fn remove(&self, name: &OsStr, stamp: Stamp, kind: &str) -> String {
        let path = self.0.folder.join(name);
        if self.0.after == After::Move {
            match move_into(&path, name, &self.0.moved_to.join(kind)) {
                Ok(to) => {
                    self.held().remove(name);
                    return format!("moved to {}", to.display());
                }
                Err(error) => {
                    self.leave(name, stamp);
                    return format!("left where it is, since it cannot be moved: {error}");
                }
            }
        }
        self.leave(name, stamp);
        "left where it is and not read again".to_owned()
    }

    /// Path and name of a capture that came from this folder.
    fn own<'a>(&self, capture: &'a Capture) -> Option<(&'a Path, &'a OsStr)> {
        let path = capture.file.as_deref().filter(|path| path.parent() == Some(self.folder()))?;
        Some((path, path.file_name()?))
    }

    /// The stamp of a file that is still as it was read; otherwise it is released, to be read anew.
    fn unchanged(&self, path: &Path, name: &OsStr) -> Option<Stamp> {
        let now = fs::symlink_metadata(path).ok().map(|metadata| Stamp::of(&metadata));
        let mut held = self.held();
        match (held.get(name), now) {
            (Some(Held::InHand(read)), Some(now)) if *read == now => Some(now),
            (Some(Held::Left(_)), Some(_)) => None,
            _ => {
                held.remove(name);
                None
            }
        }
    }
}

/// Renames into the folder, which is made where it is missing; where the name is taken, a number is appended.
fn move_into(from: &Path, name: &OsStr, folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = Path::new(name);
    let candidate = |number: u32| {
        if number == 0 {
            return folder.join(name);
        }
        let mut numbered = name.file_stem().unwrap_or_default().to_owned();
        numbered.push(format!("-{number}"));
        if let Some(extension) = name.extension() {
            numbered.push(".");
            numbered.push(extension);
        }
        folder.join(numbered)
    };
    // Another writer may take a name between the look and the rename.
    for _ in 0..16 {
        let to = candidate(free_number(|number| candidate(number).symlink_metadata().is_ok()));
        match rename_without_replacing(from, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|()| to),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every new name was taken at once"))
}

/// A number that is free, by doubling and halving: a camera that uses one name for ever would make counting slow.
fn free_number(taken: impl Fn(u32) -> bool) -> u32 {
    if !taken(0) {
        return 0;
    }
    let mut free = 1;
    while free < 1 << 30 && taken(free) {
        free *= 2;
    }
    let mut below = free / 2;
    while free - below > 1 {
        let middle = below + (free - below) / 2;
        if taken(middle) {
            below = middle;
        } else {
            free = middle;
        }
    }
    free
}

fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Network file systems have no such rename; the look before it is then the only guard.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use super::{free_number, move_into};

    #[test]
    fn numbers_are_found_and_nothing_is_overwritten() {
        for taken in [0, 1, 2, 3, 7, 8, 1000, 100_000] {
            assert_eq!(free_number(|number| number < taken), taken);
        }
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.b.jpg"), folder.path().join("to"));
        for number in 0..5 {
            fs::write(&from, [number]).unwrap();
            move_into(&from, OsStr::new("a.b.jpg"), &to).unwrap();
        }
        for (number, name) in (0..5).zip(["a.b.jpg", "a.b-1.jpg", "a.b-2.jpg", "a.b-3.jpg", "a.b-4.jpg"]) {
            assert_eq!(fs::read(to.join(name)).unwrap(), [number]);
        }
    }
}
