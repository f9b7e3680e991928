//! Image files: `images/<year>/<month>/<day>/<id>.<extension>` below the archive, each written whole or not at all.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::JournalError;
use super::folder::archive_folder;
use super::original::Original;

/// Files take whole blocks of this many bytes.
const BLOCK: u64 = 4096;
/// Name of an unfinished file.
const UNFINISHED: &str = ".unfinished";

/// The archive's folder and the room its files take.
#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
    /// Bytes of all files that the journal knows.
    pub(super) total: u64,
    /// Images that had to go before they were written: their rows are gone, and their files must not come.
    pub(super) given_up: HashSet<String>,
}

impl Archive {
    /// Makes the folder.
    pub(super) fn open(state: &Path) -> Result<Self, JournalError> {
        let folder = archive_folder(state);
        let images = folder.join("images");
        fs::create_dir_all(&images).map_err(JournalError::file("make folder", &images))?;
        Ok(Self { folder, total: 0, given_up: HashSet::new() })
    }

    /// Where the image of that event goes, relative to the archive. An id names nothing outside its folder.
    pub(super) fn path(id: &str, time: Timestamp, image: &Original) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        let name: String = id.chars().map(safe).take(100).collect();
        format!("{}/{name}.{}", time.strftime("images/%Y/%m/%d"), image.extension())
    }

    /// The room an image will take.
    pub(super) fn size(image: &Original) -> u64 {
        blocks((image.head().len() + image.bytes.len()) as u64)
    }

    /// Writes an image under another name and renames it; `synced`, it survives a power cut.
    pub(super) fn write(&self, path: &str, image: &Original, synced: bool) -> Result<(), JournalError> {
        let path = self.folder.join(path);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(JournalError::file("make folder", folder))?;
        let unfinished = folder.join(UNFINISHED);
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(image.head().as_bytes())?;
            file.write_all(&image.bytes)?;
            if synced {
                file.sync_all()?;
            }
            drop(file);
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| {
            // What did get written only takes room.
            let _ = fs::remove_file(&unfinished);
            JournalError::file("write", &path)(error)
        })
    }

    /// Deletes an image; one that is gone already, or not written yet, is fine.
    pub(super) fn delete(&mut self, relative: &str) -> Result<(), JournalError> {
        let path = self.folder.join(relative);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.given_up.insert(relative.to_owned());
                Ok(())
            }
            Err(error) => Err(JournalError::file("delete", &path)(error)),
            Ok(()) => {
                // Succeeds only for the last file of a day, a month and a year.
                let empty = path.ancestors().skip(1).take(3);
                let _ = empty.map(fs::remove_dir).take_while(Result::is_ok).count();
                Ok(())
            }
        }
    }

    /// Every file below `images` with its relative path and the room it takes; unfinished ones are deleted.
    pub(super) fn walk(&self, mut take: impl FnMut(String, u64, Timestamp)) -> Result<(), JournalError> {
        let mut folders = vec![self.folder.join("images")];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(JournalError::file("list", &folder))?;
            for entry in entries {
                let entry = entry.map_err(JournalError::file("list", &folder))?;
                let path = entry.path();
                let facts = entry.metadata().map_err(JournalError::file("look at", &path))?;
                let relative = path.strip_prefix(&self.folder).ok().and_then(Path::to_str);
                if facts.is_dir() {
                    folders.push(path);
                } else if entry.file_name() == UNFINISHED {
                    let _ = fs::remove_file(&path);
                } else if let Some(relative) = relative {
                    let written = facts.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
                    take(relative.to_owned(), blocks(facts.len()), written.unwrap_or(Timestamp::UNIX_EPOCH));
                }
            }
        }
        Ok(())
    }
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK) * BLOCK
}
