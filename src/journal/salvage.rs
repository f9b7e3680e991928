//! Repair of a damaged journal: every row that can still be read goes into a new file, the old one is kept beside it.
//! Rows are read by number; where reading fails, the next number that can be read is searched for. Events that cannot be
//! reached that way are looked for page by page.

use std::fs;
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::database::{self, VERSION};
use super::error::JournalError;
use super::open::Opening;
use super::scan;
use crate::event::Event;

/// The numbers that rows are looked for up to where the journal does not say.
const MOST_NUMBER: i64 = 1 << 40;
/// Rows that go into one transaction.
const AT_A_TIME: usize = 5_000;
/// Bytes of a page, SQLite's default.
pub(super) const PAGE: usize = 4096;
/// So many events missing are worth a look at every page.
const FEW: u64 = 50;

/// Each table with its columns, the number first.
const TABLES: [(&str, &str); 4] = [
    ("events", "number, id, station, kind, time, waiting, json"),
    ("passes", "number, id, station, time, part, reading"),
    ("minutes", "number, station, minute, inspected, passed, review, rejected, faults, dropped, late"),
    (
        "images",
        "number, path, id, rank, bytes, station, kind, time, shelf, config, roi, score, p_value, reject_below, \
         review_below",
    ),
];

/// The write-ahead log that belongs to a file.
pub(super) fn log_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The new file while it is being filled. Its own name only ever stands for a complete one.
fn filling(file: &Path) -> PathBuf {
    file.with_extension("filling.sqlite")
}

fn complete(file: &Path) -> PathBuf {
    file.with_extension("repaired.sqlite")
}

fn patched(file: &Path) -> PathBuf {
    file.with_extension("patched.sqlite")
}

/// Ends a repair in the middle of which the process was killed.
pub(super) fn finish_replacing(file: &Path) -> Result<(), JournalError> {
    remove(&filling(file));
    remove(&patched(file));
    let complete = complete(file);
    if !file.exists() && complete.exists() {
        return fs::rename(&complete, file).map_err(JournalError::file("rename", &complete));
    }
    remove(&complete);
    Ok(())
}

/// Replaces the file by a new one with what can be read of it.
pub(super) fn replace(file: &Path) -> Result<Opening, JournalError> {
    let filling = filling(file);
    remove(&filling);
    let failed = || JournalError::database(&filling);
    let make = || {
        let mut new = database::open(&filling, true)?;
        database::migrate(&mut new)?;
        // Closed, so that its first page is whole and can stand in for a broken one.
        new.close().map_err(|(_, error)| error)
    };
    make().map_err(failed())?;
    let template = fs::read(&filling).map_err(JournalError::file("read", &filling))?;
    // Not synced at each commit, but when it is closed, before it gets its name.
    let new = database::open(&filling, false).map_err(failed())?;
    let tally = copy(file, &template, &new).map_err(failed())?;
    new.close().map_err(|(_, error)| failed()(error))?;
    let complete = complete(file);
    let renamed = |from: &Path, to: &Path| fs::rename(from, to).map_err(JournalError::file("rename", from));
    renamed(&filling, &complete)?;
    let kept = kept_name(file);
    // Their loss changes nothing: what they held is in the new file.
    let _ = fs::rename(log_of(file), log_of(&kept));
    let _ = fs::remove_file(beside(file, "-shm"));
    renamed(file, &kept)?;
    renamed(&complete, file)?;
    Ok(Opening::Repaired { kept, salvaged: tally.rows, lost: tally.lost() })
}

fn kept_name(file: &Path) -> PathBuf {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = |count: u32| match count {
        1 => file.with_extension(format!("damaged-{time}.sqlite")),
        _ => file.with_extension(format!("damaged-{time}-{count}.sqlite")),
    };
    (1..1000).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(1000))
}

fn remove(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        // Mostly it is not there.
        let _ = fs::remove_file(beside(file, end));
    }
}

/// What came over.
#[derive(Default)]
struct Tally {
    rows: u64,
    events: u64,
    first: Option<i64>,
    last: i64,
}

impl Tally {
    fn lost(&self) -> u64 {
        let expected = self.first.map_or(self.last, |first| self.last - first + 1);
        u64::try_from(expected).unwrap_or(0).saturating_sub(self.events)
    }
}

/// Errors are those of the new file; the old one's are what this is for.
fn copy(file: &Path, template: &[u8], new: &Connection) -> rusqlite::Result<Tally> {
    let mut tally = Tally::default();
    if let Ok(old) = database::open_read(file) {
        copy_tables(&old, new, &mut tally)?;
    }
    let patched = patched(file);
    if tally.rows == 0
        && patch(file, template, &patched).is_ok()
        && let Ok(old) = database::open_read(&patched)
    {
        copy_tables(&old, new, &mut tally)?;
    }
    if tally.events == 0 || tally.lost() > FEW {
        scan::leaves(file, template, &patched, |old| copy_rows(old, new, TABLES[0].0, TABLES[0].1, &mut tally))?;
    }
    remove(&patched);
    Ok(tally)
}

/// A copy of the old file with the first page of a new one, which names the same tables at the same places.
fn patch(file: &Path, template: &[u8], patched: &Path) -> std::io::Result<()> {
    let mut page = template.first_chunk::<PAGE>().copied().ok_or(ErrorKind::UnexpectedEof)?;
    let pages = (file.metadata()?.len() / PAGE as u64) as u32;
    // Number of pages, with the change counter it belongs to; no list of free pages.
    page[28..32].copy_from_slice(&pages.to_be_bytes());
    page.copy_within(24..28, 92);
    page[32..40].fill(0);
    fs::copy(file, patched)?;
    if log_of(file).exists() {
        fs::copy(log_of(file), log_of(patched))?;
    }
    let mut out = fs::File::options().write(true).open(patched)?;
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&page)
}

fn copy_tables(old: &Connection, new: &Connection, tally: &mut Tally) -> rusqlite::Result<()> {
    let bytes: i64 =
        old.query_row("SELECT page_count * 4096 FROM pragma_page_count", [], |row| row.get(0)).unwrap_or(0);
    for (table, columns) in TABLES {
        let sql = format!("SELECT seq FROM sqlite_sequence WHERE name = '{table}'");
        let last: Option<i64> = old.query_row(&sql, [], |row| row.get(0)).ok();
        if table == "events" {
            // A number beyond what the file could ever have held is itself damaged.
            tally.last = last.filter(|last| (0..=bytes.saturating_mul(100)).contains(last)).unwrap_or(0);
        }
        copy_rows(old, new, table, columns, tally)?;
        if let Some(last) = last.filter(|last| (0..MOST_NUMBER).contains(last)) {
            // Numbers of lost rows are not given again.
            new.execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = ?2", (last, table))?;
        }
    }
    Ok(())
}

fn copy_rows(
    old: &Connection,
    new: &Connection,
    table: &str,
    columns: &str,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let read = format!("SELECT {columns} FROM {table} NOT INDEXED WHERE number >= ?1 ORDER BY number");
    let marks = vec!["?"; columns.split(',').count()].join(", ");
    let write = format!("INSERT OR IGNORE INTO {table}({columns}) VALUES ({marks})");
    let (mut from, mut step) = (0, 1);
    let mut rows = Vec::new();
    while from < MOST_NUMBER {
        let (next, whole) = read_rows(old, &read, from, &mut rows);
        tally.rows += write_rows(new, &write, table, &mut rows, tally)?;
        match (whole, next) {
            (Whole::End, _) => break,
            (Whole::More, next) => (from, step) = (next, 1),
            (Whole::Broken, next) if next > from => (from, step) = (next, 1),
            // Nothing readable begins here: look further on, in growing steps, then back to where it begins.
            (Whole::Broken, _) => {
                let far = from + step;
                if step > 1 && starts(old, &read, far) {
                    from = first_start(old, &read, from + 1, far);
                    step = 1;
                } else {
                    (from, step) = (far, step * 2);
                }
            }
        }
    }
    Ok(())
}

enum Whole {
    End,
    More,
    Broken,
}

/// Whether a readable row is found from that number on.
fn starts(old: &Connection, sql: &str, from: i64) -> bool {
    let found = || old.prepare_cached(sql)?.query([from])?.next().map(drop);
    found().is_ok()
}

/// The smallest number in that range from which reading works, where it works from `high` on.
fn first_start(old: &Connection, sql: &str, mut low: i64, mut high: i64) -> i64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if starts(old, sql, middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    high
}

/// Reads rows from that number on: the number after the last one read, and why it ended there.
fn read_rows(old: &Connection, sql: &str, from: i64, rows: &mut Vec<Vec<Value>>) -> (i64, Whole) {
    let mut next = from;
    let mut read = || -> rusqlite::Result<Whole> {
        let mut statement = old.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut cursor = statement.query([from])?;
        while let Some(row) = cursor.next()? {
            let number: i64 = row.get(0)?;
            if number < next {
                // Pages that lead back: a damaged tree.
                return Ok(Whole::Broken);
            }
            next = number.saturating_add(1);
            let values = (0..columns).map(|at| value(row.get_ref(at).ok()?)).collect::<Option<Vec<_>>>();
            rows.extend(values);
            if rows.len() >= AT_A_TIME {
                return Ok(Whole::More);
            }
        }
        Ok(Whole::End)
    };
    let whole = read().unwrap_or(Whole::Broken);
    (next, whole)
}

/// `None` for text that is none.
fn value(value: ValueRef<'_>) -> Option<Value> {
    Some(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
    })
}

fn write_rows(
    new: &Connection,
    sql: &str,
    table: &str,
    rows: &mut Vec<Vec<Value>>,
    tally: &mut Tally,
) -> rusqlite::Result<u64> {
    let transaction = database::begin(new)?;
    let mut written = 0;
    for mut row in rows.drain(..) {
        if table == "events" && !agrees(&mut row) {
            continue;
        }
        // A row that the table refuses, by a type or a missing value, is damaged.
        let new_row = transaction.prepare_cached(sql)?.execute(params_from_iter(&row));
        match new_row {
            Ok(1) => written += 1,
            Ok(_) => continue,
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => continue,
            Err(error) => return Err(error),
        }
        if let (true, Value::Integer(number)) = (table == "events", &row[0]) {
            tally.events += 1;
            tally.first = Some(tally.first.map_or(*number, |first| first.min(*number)));
            tally.last = tally.last.max(*number);
        }
    }
    transaction.commit()?;
    Ok(written)
}

/// Whether the JSON of an event's row is an event. It decides what the other columns say.
fn agrees(row: &mut [Value]) -> bool {
    let [_, id, station, kind, time, waiting, Value::Text(json)] = row else { return false };
    let Ok(event) = serde_json::from_str::<Event>(json) else { return false };
    if *id != Value::Text(event.id) {
        return false;
    }
    *station = Value::Text(event.station);
    *kind = Value::Text(event.kind.name().to_owned());
    *time = Value::Integer(event.time.as_microsecond());
    *waiting = Value::Integer(i64::from(*waiting != Value::Integer(0)));
    true
}

const _: () = assert!(VERSION == 1, "say in TABLES what the new version brought, and test the first page's stand-in");
