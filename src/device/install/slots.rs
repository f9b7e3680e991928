//! The two slots of a shelf on a device, the one in use and the one before, and the note that the one in use is on trial.
//! At no moment, whenever the power goes, is there no whole shelf in use.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::digest::{hexadecimal, sha256};
use crate::shelf::{Staged, folder_of, read_bounded, write_atomically};

/// A note is a line.
const NOTE: u64 = 1 << 10;
/// Largest file that is hashed to see whether a note is of it.
const LARGEST: u64 = 1 << 30;

/// That the shelf in use has yet to prove itself at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// SHA-256 of the shelf, hexadecimal.
    pub shelf: String,
    /// How often the program has started with it.
    pub starts: u32,
}

/// The place of a shelf: the path that the configuration names, and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slots {
    current: PathBuf,
}

impl Slots {
    /// The slots around the shelf that the configuration names.
    pub fn new(current: &Path) -> Self {
        Self { current: current.to_owned() }
    }

    /// The shelf in use.
    pub fn current(&self) -> &Path {
        &self.current
    }

    /// The shelf that was in use before.
    pub fn previous(&self) -> PathBuf {
        self.beside(".previous")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(&self.current);
        name.push(ending);
        PathBuf::from(name)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(folder_of(&self.current))?.sync_all()
    }

    /// Waits until no other process changes the slots; they are the caller's until the handle is dropped.
    fn lock(&self) -> io::Result<File> {
        let folder = File::open(folder_of(&self.current))?;
        folder.lock()?;
        Ok(folder)
    }

    /// Takes a new shelf into use, on trial; the one in use becomes the one before.
    ///
    /// # Errors
    /// What the system says; the shelf in use is then the same.
    pub fn switch(&self, shelf: &[u8]) -> io::Result<()> {
        let staged = Staged::write(&self.current, shelf)?;
        let _alone = self.lock()?;
        if self.current.exists() {
            self.keep()?;
        }
        self.write(&Trial { shelf: hexadecimal(&sha256(shelf)), starts: 0 })?;
        staged.put()
    }

    /// Makes the shelf in use the one before, too, by a second name of the same file.
    fn keep(&self) -> io::Result<()> {
        let spare = self.beside(".spare");
        Self::free(&spare)?;
        fs::hard_link(&self.current, &spare)?;
        fs::rename(&spare, self.previous())?;
        // Renaming one name of a file to another one of it leaves both.
        Self::free(&spare)?;
        self.sync()
    }

    fn free(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns to the shelf before; the one in use takes its place. That is no trial: it has been in use already.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none before; what the system says.
    pub fn roll_back(&self) -> io::Result<()> {
        let (previous, spare) = (self.previous(), self.beside(".spare"));
        let _alone = self.lock()?;
        if !previous.exists() {
            return Err(ErrorKind::NotFound.into());
        }
        Self::free(&spare)?;
        if self.current.exists() {
            fs::hard_link(&self.current, &spare)?;
        }
        fs::rename(&previous, &self.current)?;
        self.sync()?;
        if spare.exists() {
            fs::rename(&spare, &previous)?;
        }
        // Before this the note was of the other shelf, and so of none in use.
        Self::free(&self.note())?;
        self.sync()
    }

    fn note(&self) -> PathBuf {
        self.beside(".trial")
    }

    fn write(&self, trial: &Trial) -> io::Result<()> {
        let Trial { shelf, starts } = trial;
        write_atomically(&self.note(), format!("{shelf} {starts}\n").as_bytes()).map_err(io::Error::other)
    }

    /// What the note says, whichever shelf it is of.
    fn read(&self) -> Option<Trial> {
        let note = String::from_utf8(read_bounded(&self.note(), NOTE).ok()?).ok()?;
        let (shelf, starts) = note.trim().split_once(' ')?;
        Some(Trial { shelf: shelf.to_owned(), starts: starts.parse().unwrap_or(u32::MAX) })
    }

    /// The trial of the shelf in use; `None` where it has proven itself, or nobody installed it.
    pub fn trial(&self) -> Option<Trial> {
        let trial = self.read()?;
        let shelf = read_bounded(&self.current, LARGEST).ok()?;
        (trial.shelf == hexadecimal(&sha256(&shelf))).then_some(trial)
    }

    /// Notes a start of the program, or that there was none that went wrong. Without effect where another shelf has come
    /// on trial meanwhile.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_trial(&self, trial: &Trial) -> io::Result<()> {
        let _alone = self.lock()?;
        if self.read().is_some_and(|now| now.shelf == trial.shelf) { self.write(trial) } else { Ok(()) }
    }

    /// That shelf has proven itself at work. Without effect where another one has come on trial meanwhile.
    ///
    /// # Errors
    /// What the system says.
    pub fn end_trial(&self, shelf: &str) -> io::Result<()> {
        let _alone = self.lock()?;
        if self.read().is_some_and(|now| now.shelf == shelf) {
            Self::free(&self.note())?;
        }
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use super::{Slots, Trial};
    use crate::digest::{hexadecimal, sha256};

    #[test]
    fn the_shelf_before_is_kept_and_returned_to() {
        let folder = tempfile::tempdir().unwrap();
        let slots = Slots::new(&folder.path().join("line.shelf"));
        let starts = |slots: &Slots| slots.trial().map(|trial| trial.starts);
        let hash = |bytes: &[u8]| hexadecimal(&sha256(bytes));
        let read = |slots: &Slots| [slots.current(), &slots.previous()].map(|path| fs::read(path).unwrap_or_default());
        assert_eq!(slots.roll_back().unwrap_err().kind(), ErrorKind::NotFound);
        slots.switch(b"one").unwrap();
        assert_eq!((read(&slots), starts(&slots)), ([b"one".to_vec(), vec![]], Some(0)));
        slots.set_trial(&Trial { shelf: hash(b"one"), starts: 2 }).unwrap();
        assert_eq!(starts(&slots), Some(2));
        // Of a shelf that is on trial no more.
        slots.set_trial(&Trial { shelf: hash(b"none"), starts: 3 }).unwrap();
        slots.end_trial(&hash(b"none")).unwrap();
        assert_eq!(starts(&slots), Some(2));
        slots.end_trial(&hash(b"one")).unwrap();
        assert_eq!(starts(&slots), None);
        slots.switch(b"two").unwrap();
        slots.switch(b"three").unwrap();
        assert_eq!((read(&slots), starts(&slots)), ([b"three".to_vec(), b"two".to_vec()], Some(0)));
        slots.roll_back().unwrap();
        assert_eq!((read(&slots), starts(&slots)), ([b"two".to_vec(), b"three".to_vec()], None));
        slots.roll_back().unwrap();
        assert_eq!(read(&slots), [b"three".to_vec(), b"two".to_vec()]);
        // A note of another shelf counts for nothing.
        slots.switch(b"four").unwrap();
        fs::write(slots.current(), b"by hand").unwrap();
        assert_eq!(slots.trial(), None);
        // The same shelf again.
        slots.switch(b"five").unwrap();
        slots.switch(b"five").unwrap();
        assert_eq!(read(&slots), [b"five".to_vec(), b"five".to_vec()]);
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["line.shelf", "line.shelf.previous", "line.shelf.trial"], "nothing is left lying about");
    }
}
