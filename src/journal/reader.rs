//! The journal read by others: the web page, the report, `replay`; while the daemon runs or not. Writes nothing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, Row, ToSql, named_params};

use super::counts::{Counts, Pass};
use super::database::{self, VERSION};
use super::error::JournalError;
use super::folder::journal_file;
use super::image_row::{COLUMNS, ImageRow, time};
use crate::event::{Event, EventKind, EventReading};

/// Rows read at a time, so that a long listing holds no lock and little memory.
const PAGE: usize = 500;

/// Which rows are wanted; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this station only.
    pub station: Option<String>,
    /// Of these kinds only; empty for all.
    pub kinds: Vec<EventKind>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The last one first.
    pub newest_first: bool,
    /// Beyond the row of this number, in the order asked for.
    pub beyond: Option<i64>,
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its place in the order of writing.
    pub number: i64,
    /// Whether it waits for the broker.
    pub waiting: bool,
    /// The event; its `image` is set only while the image is kept.
    pub event: Event,
    /// Its image, while it is kept.
    pub image: Option<ImageRow>,
}

/// Read access.
#[derive(Debug)]
pub struct Reader {
    file: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens the journal of that state folder for reading.
    ///
    /// # Errors
    /// [`JournalError`]: there is none, it cannot be read, or a newer program wrote it.
    pub fn open(state: &Path) -> Result<Self, JournalError> {
        let file = journal_file(state);
        file.metadata().map_err(JournalError::file("read", &file))?;
        let failed = JournalError::database(&file);
        let opened = database::open_read(&file).and_then(|connection| {
            let version = database::version(&connection)?;
            Ok((connection, version))
        });
        let (connection, found) = opened.map_err(failed)?;
        if found > VERSION {
            return Err(JournalError::Newer { path: file, found, known: VERSION });
        }
        Ok(Self { file, connection })
    }

    /// The events that the filter lets through.
    pub fn events(&self, filter: &Filter) -> impl Iterator<Item = Result<StoredEvent, JournalError>> + '_ {
        let columns = format!("events.number, events.waiting, events.json, {COLUMNS}");
        let from = "events LEFT JOIN images ON images.id = events.id";
        Pages::new(self, "events", &columns, from, filter, true, stored_event)
    }

    /// The images that the filter lets through; kinds count here too, and leave passes out.
    pub fn images(&self, filter: &Filter) -> Images<'_> {
        Images(Pages::new(self, "images", &format!("images.number, {COLUMNS}"), "images", filter, true, |row| {
            let number = row.get(0)?;
            let image = ImageRow::read(row, 1)?;
            Ok((number, image.ok_or_else(|| "row has no path".to_owned())))
        }))
    }

    /// The sampled passes that the filter lets through, without their images.
    pub fn passes(&self, filter: &Filter) -> impl Iterator<Item = Result<Pass, JournalError>> + '_ {
        let columns = "passes.number, passes.id, passes.station, passes.time, passes.part, passes.reading, \
                       coalesce(images.shelf, ''), coalesce(images.config, '')";
        let from = "passes LEFT JOIN images ON images.id = passes.id";
        Pages::new(self, "passes", columns, from, filter, false, pass)
    }

    /// The sums of the counters of minutes that begin in `since..until`, by station in the order of names.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn counts(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<(String, Counts)>, JournalError> {
        let minute = |time: Timestamp| time.as_second().div_euclid(60) + i64::from(time.as_second() % 60 != 0);
        let work = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT station, sum(inspected), sum(passed), sum(review), sum(rejected), sum(faults), sum(dropped),
                 sum(late) FROM minutes WHERE minute >= ?1 AND minute < ?2 GROUP BY station ORDER BY station",
            )?;
            let bounds = [since.map_or(i64::MIN, minute), until.map_or(i64::MAX, minute)];
            let rows = statement.query_map(bounds, |row| {
                let mut columns = [0; 7];
                for (at, column) in columns.iter_mut().enumerate() {
                    *column = row.get(at + 1)?;
                }
                Ok((row.get(0)?, Counts::from_columns(columns)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        work().map_err(JournalError::database(&self.file))
    }
}

/// A row's number with what it holds, or what is wrong with it.
type Read<T> = fn(&Row<'_>) -> rusqlite::Result<(i64, Result<T, String>)>;

fn stored_event(row: &Row<'_>) -> rusqlite::Result<(i64, Result<StoredEvent, String>)> {
    let (number, waiting, json): (_, _, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let image = ImageRow::read(row, 3)?;
    let event = serde_json::from_str::<Event>(&json).map_err(|error| error.to_string());
    Ok((
        number,
        event.map(|mut event| {
            event.image = image.as_ref().map(|image| image.path.clone());
            StoredEvent { number, waiting, event, image }
        }),
    ))
}

fn pass(row: &Row<'_>) -> rusqlite::Result<(i64, Result<Pass, String>)> {
    let reading = serde_json::from_str::<EventReading>(&row.get::<_, String>(5)?).map_err(|error| error.to_string());
    let (id, station, at, part): (_, _, _, i64) = (row.get(1)?, row.get(2)?, time(row.get(3)?), row.get(4)?);
    let (shelf, config) = (row.get(6)?, row.get(7)?);
    let part = u64::try_from(part).unwrap_or(0);
    let pass = reading.map(|reading| Pass { id, station, time: at, part, reading, shelf, config, image: None });
    Ok((row.get(0)?, pass))
}

/// Kept images, as [`Reader::images`] lists them.
pub struct Images<'a>(Pages<'a, ImageRow>);

impl Iterator for Images<'_> {
    type Item = Result<ImageRow, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Rows, a page at a time.
struct Pages<'a, T> {
    reader: &'a Reader,
    table: &'static str,
    sql: String,
    filter: Filter,
    kinds: Option<String>,
    read: Read<T>,
    rows: VecDeque<Result<T, JournalError>>,
    beyond: Option<i64>,
    ended: bool,
}

impl<'a, T> Pages<'a, T> {
    fn new(
        reader: &'a Reader,
        table: &'static str,
        columns: &str,
        from: &str,
        filter: &Filter,
        has_kinds: bool,
        read: Read<T>,
    ) -> Self {
        let (than, order) = if filter.newest_first { ("<", "DESC") } else { (">", "ASC") };
        let kinds = if has_kinds {
            "AND (:kinds IS NULL OR instr(:kinds, ' ' || T.kind || ' '))"
        } else {
            "AND :kinds IS NULL"
        };
        let sql = format!(
            "SELECT {columns} FROM {from} WHERE (:beyond IS NULL OR T.number {than} :beyond)
             AND (:station IS NULL OR T.station = :station) AND (:since IS NULL OR T.time >= :since)
             AND (:until IS NULL OR T.time < :until) {kinds} ORDER BY T.number {order} LIMIT {PAGE}"
        );
        let names = || filter.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" ");
        Self {
            reader,
            table,
            sql: sql.replace("T.", &format!("{table}.")),
            filter: filter.clone(),
            kinds: (has_kinds && !filter.kinds.is_empty()).then(|| format!(" {} ", names())),
            read,
            rows: VecDeque::new(),
            beyond: filter.beyond,
            ended: false,
        }
    }

    fn fill(&mut self) -> rusqlite::Result<()> {
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        let (since, until) = (micros(self.filter.since), micros(self.filter.until));
        let parameters: &[(&str, &dyn ToSql)] = named_params! {
            ":beyond": self.beyond, ":station": self.filter.station, ":since": since, ":until": until,
            ":kinds": self.kinds,
        };
        let mut statement = self.reader.connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(parameters)?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let (number, item) = (self.read)(row)?;
            count += 1;
            self.beyond = Some(number);
            let what = || format!("row {number} of {}", self.table);
            self.rows.push_back(item.map_err(|reason| JournalError::Damaged { what: what(), reason }));
        }
        self.ended = count < PAGE;
        Ok(())
    }
}

impl<T> Iterator for Pages<'_, T> {
    type Item = Result<T, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty()
            && !self.ended
            && let Err(error) = self.fill()
        {
            self.ended = true;
            return Some(Err(JournalError::database(&self.reader.file)(error)));
        }
        self.rows.pop_front()
    }
}
