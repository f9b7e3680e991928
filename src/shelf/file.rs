//! Files on disk: read up to a limit, written so that a power cut leaves the old file or the new one, never a half.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

/// Why a file could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    /// Reading failed.
    #[error("cannot read {path}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than anything this program reads.
    #[error("{path} is larger than {limit} bytes; this is not the file you mean")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Writing failed; the old file, if any, is as it was.
    #[error("cannot write {path}: {source}; check free space and permissions of the folder")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Reads a whole file that may be at most `limit` bytes long.
///
/// # Errors
/// [`FileError`] naming the path.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Writes a file by way of a temporary one in the same folder: written, synced, renamed, and the folder synced.
///
/// # Errors
/// [`FileError::Write`]; the old file is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Staged::write(path, bytes)?.put()
}

/// A file that lies whole and synced beside the place where it is to go.
pub(crate) struct Staged<'p> {
    file: NamedTempFile,
    path: &'p Path,
}

impl<'p> Staged<'p> {
    pub(crate) fn write(path: &'p Path, bytes: &[u8]) -> io::Result<Self> {
        let mut file = NamedTempFile::new_in(folder_of(path))?;
        file.write_all(bytes)?;
        set_mode(file.as_file())?;
        file.as_file().sync_all()?;
        Ok(Self { file, path })
    }

    /// Takes the place of whatever is there, by one rename.
    pub(crate) fn put(self) -> io::Result<()> {
        self.file.persist(self.path).map_err(|error| error.error)?;
        File::open(folder_of(self.path))?.sync_all()
    }
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file is for its owner alone; a shelf is meant to be read by others.
#[cfg(unix)]
fn set_mode(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_mode(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FileError, read_bounded, write_atomically};

    #[test]
    fn replaces_a_file_and_reads_it_back_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.shelf");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"newer").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"newer");
        assert!(matches!(read_bounded(&path, 4), Err(FileError::TooLarge { limit: 4, .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomically(&folder.path().join("no/such"), b"x").is_err());
    }
}
