//! Where things lie in the state folder, and the lock on it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::JournalError;

/// The SQLite file.
pub fn journal_file(state: &Path) -> PathBuf {
    state.join("journal.sqlite")
}

/// The intent file, which may lie in another folder.
pub fn intent_file(folder: &Path) -> PathBuf {
    folder.join("intent.ring")
}

/// The folder that the images' paths start from.
pub fn archive_folder(state: &Path) -> PathBuf {
    state.join("archive")
}

/// Room kept for starting on a full disk, in bytes.
const RESERVE: usize = 512 << 10;

fn reserve_file(state: &Path) -> PathBuf {
    state.join("reserve")
}

/// Takes room that [`give_reserve`] gives back; without effect where the disk has none.
pub(super) fn take_reserve(state: &Path) {
    let path = reserve_file(state);
    let whole = path.metadata().is_ok_and(|facts| facts.len() == RESERVE as u64);
    if !whole && fs::write(&path, vec![0; RESERVE]).is_err() {
        // A part of it would only be in the way.
        let _ = fs::remove_file(&path);
    }
}

/// Gives the room back, and says whether there was any.
pub(super) fn give_reserve(state: &Path) -> bool {
    fs::remove_file(reserve_file(state)).is_ok()
}

/// Makes the folder and takes the lock, which ends with the returned file or the process.
pub(super) fn hold(state: &Path) -> Result<File, JournalError> {
    fs::create_dir_all(state).map_err(JournalError::file("make folder", state))?;
    let path = state.join("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(JournalError::file("open", &path))?;
    lock(&file, &path)?;
    Ok(file)
}

/// Locks a file that no other process may use meanwhile.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(JournalError::Held { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(JournalError::file("lock", path)(error)),
    }
}
