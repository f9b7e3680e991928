//! Events that wait for the broker, read from the journal on a connection of their own.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::database::{self, begin};
use super::error::JournalError;
use super::open::Site;
use crate::event::{Outbox, Waiting};

/// The events that wait for the broker.
#[derive(Debug)]
pub struct JournalOutbox {
    site: Arc<Site>,
    /// With the generation of the file it belongs to.
    connection: Mutex<(u64, Connection)>,
}

impl JournalOutbox {
    pub(super) fn open(site: Arc<Site>) -> Result<Self, JournalError> {
        let connection = Mutex::new(connect(&site)?);
        Ok(Self { site, connection })
    }

    /// How many events wait.
    ///
    /// # Errors
    /// What hinders reading, in words.
    pub fn count(&self) -> Result<u64, String> {
        let count = "SELECT count(*) FROM events INDEXED BY events_waiting WHERE waiting = 1";
        self.with(|connection| connection.prepare_cached(count)?.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        let mut held = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 != self.site.generation() {
            *held = connect(&self.site).map_err(|error| error.to_string())?;
        }
        work(&held.1).map_err(|error| JournalError::database(&self.site.file)(error).to_string())
    }
}

/// Acknowledgements that a power cut forgets are only sent again, so they need not be synced.
fn connect(site: &Site) -> Result<(u64, Connection), JournalError> {
    let generation = site.generation();
    let connection = database::open(&site.file, false).map_err(JournalError::database(&site.file))?;
    Ok((generation, connection))
}

impl Outbox for JournalOutbox {
    fn waiting(&self, after: i64, limit: usize) -> Result<Vec<Waiting>, String> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, station, json FROM events INDEXED BY events_waiting
                 WHERE waiting = 1 AND number > ?1 ORDER BY number LIMIT ?2",
            )?;
            let rows = statement.query_map(params![after, limit], |row| {
                Ok(Waiting { number: row.get(0)?, station: row.get(1)?, json: row.get(2)? })
            })?;
            rows.collect()
        })
    }

    fn acknowledged(&self, numbers: &[i64]) -> Result<(), String> {
        let _turn = self.site.turn();
        self.with(|connection| {
            let transaction = begin(connection)?;
            for number in numbers {
                transaction.prepare_cached("UPDATE events SET waiting = 0 WHERE number = ?1")?.execute([number])?;
            }
            transaction.commit()
        })
    }
}
