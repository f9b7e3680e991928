//! Opening the state folder: lock, journal (repaired where damaged), intents that became due, archive.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use jiff::SignedDuration;
use rusqlite::Connection;

use super::archive::Archive;
use super::budget::{self, Budget, Stuck};
use super::commit::{Committer, insert_event};
use super::database::{self, VERSION};
use super::error::JournalError;
use super::folder;
use super::intent::Intents;
use super::outbox::JournalOutbox;
use super::queue::Queue;
use super::salvage;
use super::writer::{Writer, WriterOptions};
use crate::config::JournalOptions;

/// How the journal was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// In order.
    Clean,
    /// Not there; it was made.
    Created,
    /// Damaged. A new one was made with all rows that could be read.
    Repaired {
        /// The damaged file.
        kept: PathBuf,
        /// Rows brought over.
        salvaged: u64,
        /// Events that are known to be missing; there may be more.
        lost: u64,
    },
}

/// What the journal's parts share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) file: PathBuf,
    pub(super) intents: Intents,
    pub(super) budget: Budget,
    /// Held while the process writes, so that its own connections never wait by polling.
    turn: Mutex<()>,
    /// Grows when the file is replaced by a repaired one.
    generation: AtomicU64,
    _lock: File,
}

impl Site {
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn renewed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// For a journal in which damage showed while it was in use.
    pub(super) fn reopen(&self) -> Result<(Connection, Opening), JournalError> {
        open_or_repair(&self.file)
    }
}

/// The journal of one state folder, which no other process can open meanwhile.
#[derive(Debug)]
pub struct Journal {
    site: Arc<Site>,
    connection: Connection,
    archive: Archive,
    recovered: u64,
}

impl Journal {
    /// Opens or makes the journal in that folder, also on a full disk once it was there. Alarms that a killed process had noted and not yet written become
    /// events with `recovered`.
    ///
    /// # Errors
    /// [`JournalError`]: another process holds the folder, a newer program wrote it, or the disk refuses. Damage is no
    /// error.
    pub fn open(state: &Path, options: &JournalOptions) -> Result<(Self, Opening), JournalError> {
        let opened = match Self::open_once(state, options) {
            Err(JournalError::DiskFull { .. }) if folder::give_reserve(state) => Self::open_once(state, options)?,
            opened => opened?,
        };
        folder::take_reserve(state);
        Ok(opened)
    }

    fn open_once(state: &Path, options: &JournalOptions) -> Result<(Self, Opening), JournalError> {
        let lock = folder::hold(state)?;
        let file = folder::journal_file(state);
        let (intents, owed) = Intents::open(options.intent.as_deref().unwrap_or(state))?;
        let (connection, opening) = open_or_repair(&file)?;
        let budget = Budget {
            bytes: options.image_megabytes.saturating_mul(1_000_000),
            age: SignedDuration::from_hours(24 * i64::from(options.image_days)),
        };
        let failed = JournalError::database(&file);
        let recovered = (|| {
            let transaction = database::begin(&connection)?;
            let mut recovered = 0;
            for (_, event) in &owed {
                recovered += u64::from(insert_event(&transaction, event, true)?);
            }
            transaction.commit().map(|()| recovered)
        })()
        .map_err(failed)?;
        for (slot, _) in owed {
            intents.done(slot);
        }
        let mut archive = Archive::open(state)?;
        budget::reconcile(&connection, &mut archive).map_err(|stuck| match stuck {
            Stuck::Database(error) => JournalError::database(&file)(error),
            Stuck::File(error) => error,
        })?;
        let site = Site { file, intents, budget, turn: Mutex::default(), generation: AtomicU64::new(0), _lock: lock };
        Ok((Self { site: Arc::new(site), connection, archive, recovered }, opening))
    }

    /// Events made at the opening from intents that a killed process had left.
    pub fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Where alarms are noted before they are signalled.
    pub fn intents(&self) -> Intents {
        self.site.intents.clone()
    }

    /// The events that wait for the broker.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn outbox(&self) -> Result<JournalOutbox, JournalError> {
        JournalOutbox::open(Arc::clone(&self.site))
    }

    /// Starts the journal's thread. The folder stays locked until it ends and every outbox is dropped.
    ///
    /// # Errors
    /// [`JournalError`] where the thread cannot be made or the journal not be written.
    pub fn into_writer(self, options: WriterOptions) -> Result<Writer, JournalError> {
        let Self { site, connection, archive, .. } = self;
        if !options.broker {
            let failed = JournalError::database(&site.file);
            connection.execute("UPDATE events SET waiting = 0 WHERE waiting = 1", []).map_err(failed)?;
        }
        let queue = Arc::new(Queue::default());
        let committer = Committer::new(Arc::clone(&site), Arc::clone(&queue), connection, archive, options);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(|| committer.run());
        thread.map_err(JournalError::file("start the thread of", &site.file))?;
        Ok(Writer::new(queue))
    }
}

/// Opens the file, makes it where it is missing, and replaces it where it is damaged.
fn open_or_repair(file: &Path) -> Result<(Connection, Opening), JournalError> {
    salvage::finish_replacing(file)?;
    let length = file.metadata().map_or(0, |facts| facts.len());
    let damaged = match (length, salvage::log_of(file).metadata()) {
        // SQLite would throw the log of an empty file away.
        (0, Ok(log)) => log.len() > 0,
        _ => false,
    };
    let found = if damaged { None } else { open_sound(file)? };
    let (connection, opening) = match found {
        Some(connection) if length == 0 => (connection, Opening::Created),
        Some(connection) => (connection, Opening::Clean),
        None => {
            let opening = salvage::replace(file)?;
            let connection = database::open(file, true).map_err(JournalError::database(file))?;
            (connection, opening)
        }
    };
    Ok((connection, opening))
}

/// `None` for a damaged file.
fn open_sound(file: &Path) -> Result<Option<Connection>, JournalError> {
    let open = || {
        let mut connection = database::open(file, true)?;
        if !database::is_sound(&connection)? {
            return Ok(None);
        }
        let found = database::version(&connection)?;
        if found <= VERSION {
            database::migrate(&mut connection)?;
        }
        Ok(Some((connection, found)))
    };
    match open() {
        Ok(None) => Ok(None),
        Ok(Some((_, found))) if found > VERSION => {
            Err(JournalError::Newer { path: file.to_owned(), found, known: VERSION })
        }
        Ok(Some((connection, _))) => Ok(Some(connection)),
        Err(error) if database::is_damage(&error) => Ok(None),
        Err(error) => Err(JournalError::database(file)(error)),
    }
}
