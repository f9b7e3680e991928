//! How much the archive and the journal may grow: the least important and oldest go first. The order is that of
//! writing, not of the clock, which may be set.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::archive::Archive;
use super::database::begin;
use super::error::JournalError;
use super::image_row::{ImageRow, Rank};

/// Images deleted in one go.
const AT_A_TIME: i64 = 64;
/// Events and passes kept beyond those that wait for the broker.
const MOST_ROWS: i64 = 1_000_000;
/// Minutes of counters kept: three years of four stations.
const MOST_MINUTES: i64 = 6_300_000;
/// Rows deleted in one go.
const ROWS_AT_A_TIME: i64 = 2_000;

/// What may be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) bytes: u64,
    pub(super) age: SignedDuration,
}

/// Why a step did not work.
pub(super) enum Stuck {
    Database(rusqlite::Error),
    File(JournalError),
}

impl From<rusqlite::Error> for Stuck {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Deletes images until the archive is within its bytes: passes, then reviews, then rejects, the oldest first.
pub(super) fn keep_size(connection: &Connection, archive: &mut Archive, budget: Budget) -> Result<(), Stuck> {
    while archive.total > budget.bytes {
        let surplus = archive.total - budget.bytes;
        if delete(connection, archive, "1", surplus)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Deletes some images that are too old. Not all at once: a clock set forward by mistake can be set back.
pub(super) fn keep_age(connection: &Connection, archive: &mut Archive, budget: Budget) -> Result<(), Stuck> {
    let oldest = Timestamp::now().checked_sub(budget.age).unwrap_or(Timestamp::MIN);
    delete(connection, archive, &format!("time < {}", oldest.as_microsecond()), u64::MAX)?;
    Ok(())
}

/// Makes room on a full disk at the cost of the oldest passes, and of nothing else.
pub(super) fn make_room(connection: &Connection, archive: &mut Archive) -> Result<(), Stuck> {
    delete(connection, archive, &format!("rank = {}", Rank::Pass as i64), u64::MAX)?;
    Ok(())
}

/// Deletes rows beyond the bounds, a few at a time.
pub(super) fn keep_rows(connection: &Connection) -> rusqlite::Result<()> {
    for (table, most, which) in
        [("events", MOST_ROWS, "waiting = 0"), ("passes", MOST_ROWS, "1"), ("minutes", MOST_MINUTES, "1")]
    {
        connection.execute(
            &format!(
                "DELETE FROM {table} WHERE number IN (SELECT number FROM {table} WHERE {which} \
                 AND number <= (SELECT max(number) FROM {table}) - ?1 ORDER BY number LIMIT ?2)"
            ),
            params![most, ROWS_AT_A_TIME],
        )?;
    }
    Ok(())
}

/// Deletes the first few images of a kind until `enough` bytes are free, and says how many.
/// The files go first: on a full disk that is what makes room for the journal to note it.
fn delete(connection: &Connection, archive: &mut Archive, which: &str, enough: u64) -> Result<usize, Stuck> {
    let sql = format!("SELECT number, path, bytes FROM images WHERE {which} ORDER BY rank, number LIMIT {AT_A_TIME}");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(i64, String, i64)> = rows.collect::<Result<_, _>>()?;
    let (mut gone, mut freed) = (Vec::new(), 0);
    for (number, path, bytes) in rows {
        if freed >= enough {
            break;
        }
        archive.delete(&path).map_err(Stuck::File)?;
        freed += u64::try_from(bytes).unwrap_or(0);
        gone.push(number);
    }
    let transaction = begin(connection)?;
    for number in &gone {
        transaction.prepare_cached("DELETE FROM images WHERE number = ?1")?.execute([number])?;
    }
    transaction.commit()?;
    archive.total = archive.total.saturating_sub(freed);
    Ok(gone.len())
}

/// Brings rows and files together: a row without file goes, a file without row is kept as the least important one.
/// Sets the archive's total.
pub(super) fn reconcile(connection: &Connection, archive: &mut Archive) -> Result<(), Stuck> {
    let mut files = HashMap::new();
    let insert = |path, bytes, time| {
        files.insert(path, (bytes, time));
    };
    archive.walk(insert).map_err(Stuck::File)?;
    archive.total = files.values().map(|(bytes, _)| bytes).sum();
    let transaction = begin(connection)?;
    let mut lost = Vec::new();
    {
        let mut statement = transaction.prepare("SELECT number, path, bytes FROM images")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, path, bytes): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match files.remove(&path) {
                None => lost.push((number, None)),
                Some((found, _)) if found as i64 != bytes => lost.push((number, Some(found as i64))),
                Some(_) => {}
            }
        }
    }
    for (number, bytes) in lost {
        match bytes {
            None => transaction.execute("DELETE FROM images WHERE number = ?1", [number])?,
            Some(bytes) => {
                transaction.execute("UPDATE images SET bytes = ?2 WHERE number = ?1", params![number, bytes])?
            }
        };
    }
    let mut found: Vec<_> = files.into_iter().collect();
    found.sort();
    for (path, (bytes, time)) in found {
        let file = path.rsplit('/').next().unwrap_or_default();
        let id = file.split('.').next().unwrap_or_default().to_owned();
        let unknown = ImageRow {
            path,
            id,
            bytes,
            station: String::new(),
            kind: "unknown".to_owned(),
            time,
            shelf: String::new(),
            config: String::new(),
            roi: None,
            reading: None,
        };
        unknown.insert(&transaction, Rank::Pass)?;
    }
    transaction.commit()?;
    Ok(())
}
