//! Why the journal could not be opened, read or written.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::database;

/// Why the journal could not be opened, read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process writes in the folder.
    #[error("{path} is held by another process; stop the other shelfwatch or give this one another `state` folder")]
    Held {
        /// The locked file.
        path: PathBuf,
    },
    /// A newer program wrote the journal.
    #[error("journal {path} has version {found}, this program knows {known}; install the newer shelfwatch again")]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// The disk has no room.
    #[error("no room on the disk of {path}; free space or lower `image_megabytes`")]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
    },
    /// The system refuses a file.
    #[error("cannot {action} {path}: {source}; check that it is there, its owner and its permissions")]
    File {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("journal {path}: {source}; check the disk, the daemon repairs the journal by itself")]
    Database {
        /// The journal.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A row of the journal, or a stored image, is not what this program writes.
    #[error("{what} is damaged ({reason}); it cannot be used, restore it from a backup")]
    Damaged {
        /// The row or file.
        what: String,
        /// What is wrong.
        reason: String,
    },
}

impl JournalError {
    /// A word that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Held { .. } => "journal-held",
            Self::Newer { .. } => "journal-newer",
            Self::DiskFull { .. } => "disk-full",
            Self::File { .. } | Self::Database { .. } => "journal-failed",
            Self::Damaged { .. } => "journal-damaged",
        }
    }

    /// For `map_err` at a file or folder.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::DiskFull { path },
            _ => Self::File { action, path, source },
        }
    }

    /// For `map_err` at the database.
    pub(super) fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if database::is_full(&source) { Self::DiskFull { path } } else { Self::Database { path, source } }
        }
    }
}
