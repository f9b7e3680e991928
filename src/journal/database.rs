//! The SQLite file: how it is opened, what is in it, and what an error of it means.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

/// The newest version of the tables.
pub(super) const VERSION: i64 = 1;
/// Marks a file as ours: `shlf`.
const APPLICATION: i64 = 0x7368_6c66;
/// Reads and short-read errors of the disk, as SQLite numbers them.
const IO_READ: i32 = 266;
const IO_SHORT_READ: i32 = 522;
/// No room for the shared-memory file beside the journal.
const IO_SHARED_MEMORY: i32 = 4874;

/// The statements that lead from one version to the next; entry 0 makes version 1.
/// `salvage` relies on the first entry making every table before any row: their root pages are then always the same.
const MIGRATIONS: [&str; VERSION as usize] = ["
    CREATE TABLE events(
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        station TEXT NOT NULL,
        kind TEXT NOT NULL,
        time INTEGER NOT NULL,
        waiting INTEGER NOT NULL,
        json TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_waiting ON events(number) WHERE waiting = 1;
    CREATE TABLE passes(
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        station TEXT NOT NULL,
        time INTEGER NOT NULL,
        part INTEGER NOT NULL,
        reading TEXT NOT NULL
    ) STRICT;
    CREATE TABLE minutes(
        number INTEGER PRIMARY KEY,
        station TEXT NOT NULL,
        minute INTEGER NOT NULL,
        inspected INTEGER NOT NULL,
        passed INTEGER NOT NULL,
        review INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        faults INTEGER NOT NULL,
        dropped INTEGER NOT NULL,
        late INTEGER NOT NULL,
        UNIQUE(station, minute)
    ) STRICT;
    CREATE TABLE images(
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,
        id TEXT NOT NULL,
        rank INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        station TEXT NOT NULL,
        kind TEXT NOT NULL,
        time INTEGER NOT NULL,
        shelf TEXT NOT NULL,
        config TEXT NOT NULL,
        roi TEXT,
        score REAL,
        p_value REAL,
        reject_below REAL,
        review_below REAL
    ) STRICT;
    CREATE INDEX images_rank ON images(rank, number);
    CREATE INDEX images_id ON images(id);
"];

/// Opens the file for writing and makes the tables where it is new or older.
/// `durable` commits survive a power cut; others may be forgotten by one, in order.
pub(super) fn open(path: &Path, durable: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
    // After a long reader or a full disk the log gives its room back.
    connection.pragma_update_and_check(None, "journal_size_limit", 8 << 20, |_| Ok(()))?;
    Ok(connection)
}

/// Opens the file for reading, whether a daemon has it open or not.
pub(super) fn open_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Brings the tables up to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    for statements in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", found.max(VERSION))?;
    transaction.commit()
}

/// The version of the tables; 0 in a new file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether the file as a whole can be believed: pages and rows in order, and written by this program.
/// It also reads every page, so that a bad sector shows now and not in the middle of a shift. The full check takes half
/// as long again as `quick_check` and finds an index that does not fit its rows, which would make commits fail.
pub(super) fn is_sound(connection: &Connection) -> rusqlite::Result<bool> {
    let word: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let (version, empty) = (version(connection)?, tables == 0);
    let ours = application == APPLICATION && (1..1000).contains(&version) && !empty;
    let new = application == 0 && version == 0 && empty;
    Ok(word == "ok" && encoding == "UTF-8" && (ours || new))
}

/// A transaction that has the right to write from its start.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

/// Whether the disk has no room.
pub(super) fn is_full(error: &Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || extended == Some(IO_SHARED_MEMORY)
}

/// Whether the file is damaged, or a part of it cannot be read.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(error, _) => match error.code {
            // `Unknown` is a table that is not there any more, in a file that had it.
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown => true,
            ErrorCode::SystemIoFailure => [IO_READ, IO_SHORT_READ].contains(&error.extended_code),
            _ => false,
        },
        Error::InvalidColumnType(..)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnName(_)
        | Error::Utf8Error(..)
        | Error::QueryReturnedNoRows => true,
        _ => false,
    }
}
