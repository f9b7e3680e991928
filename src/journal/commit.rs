//! The journal's thread: takes all that waits, commits it at once, then writes the images. It never gives up: on a full
//! or failing disk it tries again with a growing pause, and a journal that turns out damaged is repaired.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::archive::Archive;
use super::budget::{self, Stuck};
use super::counts::Pass;
use super::database::{begin, is_damage};
use super::error::JournalError;
use super::image_row::{ImageRow, Rank};
use super::open::{Opening, Site};
use super::original::Original;
use super::queue::{Alarm, Batch, Queue, Report, Wanted};
use super::writer::{Trouble, WriterOptions};
use crate::event::{Event, EventKind};

/// Counters and passes alone are committed this often, for the sake of flash memory.
const QUIET: Duration = Duration::from_secs(5);
/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Longest time in images alone while alarms wait.
const IMAGES: Duration = Duration::from_millis(100);
/// How often age and numbers of rows are looked at.
const TIDY: Duration = Duration::from_mins(10);

/// An image whose row is in the journal and whose file is still to be written.
struct Pending {
    path: String,
    image: Original,
    of_alarm: bool,
}

/// The thread's state.
pub(super) struct Committer {
    site: Arc<Site>,
    queue: Arc<Queue>,
    connection: Connection,
    archive: Archive,
    options: WriterOptions,
    batch: Batch,
    pending: VecDeque<Pending>,
    pause: Duration,
    tidied: Option<Instant>,
    /// What the next report says of images.
    image_bytes_done: usize,
    repaired: Option<Opening>,
}

impl Committer {
    pub(super) fn new(
        site: Arc<Site>,
        queue: Arc<Queue>,
        connection: Connection,
        archive: Archive,
        options: WriterOptions,
    ) -> Self {
        Self {
            site,
            queue,
            connection,
            archive,
            options,
            batch: Batch::default(),
            pending: VecDeque::new(),
            pause: PAUSE.0,
            tidied: None,
            image_bytes_done: 0,
            repaired: None,
        }
    }

    /// Works until it is asked to end and nothing is left, or the last attempt has failed.
    pub(super) fn run(mut self) {
        let mut trouble = None;
        loop {
            let behind = trouble.is_some();
            let longest = if behind { self.pause } else { QUIET };
            let wanted = self.queue.take(&mut self.batch, longest, behind);
            trouble = self.step().err().map(|error| Trouble::of(&error));
            self.pause = if trouble.is_some() { (self.pause * 2).min(PAUSE.1) } else { PAUSE.0 };
            // One more failure after the wish to end, and it ends: what is left is in the intent file.
            let idle = self.batch.is_empty() && self.pending.is_empty() && !wanted.more;
            let ended = wanted.closing && (idle || trouble.is_some());
            let report = self.report(wanted, trouble.clone(), idle, ended);
            if ended {
                // Whoever waits for the end finds the file closed and the folder free.
                let queue = Arc::clone(&self.queue);
                drop(self);
                return queue.report(report);
            }
            self.queue.report(report);
        }
    }

    fn report(&mut self, wanted: Wanted, trouble: Option<Trouble>, idle: bool, ended: bool) -> Report {
        Report {
            still_taken: self.batch.alarms.len(),
            image_bytes_done: std::mem::take(&mut self.image_bytes_done),
            trouble,
            flushed: idle.then_some(wanted.flush),
            repaired: self.repaired.take(),
            ended,
        }
    }

    /// One attempt at all that is in hand.
    fn step(&mut self) -> Result<(), JournalError> {
        if !self.batch.is_empty() {
            let turn = self.site.turn();
            if let Err(error) = commit(&self.connection, &self.batch, self.options.broker) {
                drop(turn);
                return self.failed(Stuck::Database(error));
            }
            drop(turn);
            self.committed();
        }
        if let Err(stuck) = self.write_images() {
            return self.failed(stuck);
        }
        self.tidy().or_else(|stuck| self.failed(stuck))
    }

    /// After a commit: intents are done, images are next.
    fn committed(&mut self) {
        let events = !self.batch.alarms.is_empty();
        for alarm in self.batch.alarms.drain(..) {
            if let Some(slot) = alarm.slot {
                self.site.intents.done(slot);
            }
            if let Some(image) = alarm.image {
                let path = Archive::path(&alarm.event.id, alarm.event.time, &image);
                self.archive.total += Archive::size(&image);
                self.pending.push_back(Pending { path, image, of_alarm: true });
            }
        }
        for pass in self.batch.passes.drain(..) {
            if let Some(image) = pass.image {
                let path = Archive::path(&pass.id, pass.time, &image);
                self.archive.total += Archive::size(&image);
                self.pending.push_back(Pending { path, image, of_alarm: false });
            }
        }
        self.batch.minutes.clear();
        if events {
            (self.options.on_commit)();
        }
    }

    fn write_images(&mut self) -> Result<(), Stuck> {
        let begin = Instant::now();
        while let Some(next) = self.pending.front() {
            // Each alarm that waits holds a slot of the intent file, of which there are few: it is committed first.
            if begin.elapsed() > IMAGES && self.queue.has_alarms() {
                break;
            }
            if !self.archive.given_up.remove(&next.path) {
                self.archive.write(&next.path, &next.image, next.of_alarm).map_err(Stuck::File)?;
            }
            self.image_bytes_done += next.image.bytes.len();
            self.pending.pop_front();
        }
        if self.pending.is_empty() {
            self.archive.given_up.clear();
        }
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), Stuck> {
        let site = Arc::clone(&self.site);
        let _turn = site.turn();
        budget::keep_size(&self.connection, &mut self.archive, self.site.budget)?;
        if self.tidied.is_none_or(|last| last.elapsed() > TIDY) {
            self.tidied = Some(Instant::now());
            budget::keep_age(&self.connection, &mut self.archive, self.site.budget)?;
            budget::keep_rows(&self.connection)?;
        }
        Ok(())
    }

    /// Does what can be done about a failure, and says what it was.
    fn failed(&mut self, stuck: Stuck) -> Result<(), JournalError> {
        let error = match stuck {
            Stuck::File(error) => error,
            Stuck::Database(error) if is_damage(&error) => {
                let site = Arc::clone(&self.site);
                let _turn = site.turn();
                // The old connection must not write into the file that is set aside.
                let none = Connection::open_in_memory().map_err(JournalError::database(&site.file))?;
                drop(std::mem::replace(&mut self.connection, none));
                let (connection, opening) = site.reopen()?;
                self.connection = connection;
                self.repaired = matches!(opening, Opening::Repaired { .. }).then_some(opening);
                site.renewed();
                JournalError::database(&site.file)(error)
            }
            Stuck::Database(error) => JournalError::database(&self.site.file)(error),
        };
        if error.code() == "disk-full" {
            // It helps or not; the next attempt will tell.
            let _ = budget::make_room(&self.connection, &mut self.archive);
        }
        Err(error)
    }
}

fn commit(connection: &Connection, batch: &Batch, broker: bool) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    for alarm in &batch.alarms {
        insert_alarm(&transaction, alarm, broker)?;
    }
    for pass in &batch.passes {
        insert_pass(&transaction, pass)?;
    }
    for minute in &batch.minutes {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO minutes(station, minute, inspected, passed, review, rejected, faults, dropped, late)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT(station, minute) DO UPDATE SET inspected = inspected + excluded.inspected,
             passed = passed + excluded.passed, review = review + excluded.review,
             rejected = rejected + excluded.rejected, faults = faults + excluded.faults,
             dropped = dropped + excluded.dropped, late = late + excluded.late",
        )?;
        let [a, b, c, d, e, f, g] = minute.counts.columns();
        statement.execute(params![minute.station, minute.number, a, b, c, d, e, f, g])?;
    }
    transaction.commit()
}

fn insert_alarm(connection: &Connection, alarm: &Alarm, waiting: bool) -> rusqlite::Result<()> {
    let Some(image) = &alarm.image else {
        return insert_event(connection, &alarm.event, waiting).map(drop);
    };
    let event = &alarm.event;
    let path = Archive::path(&event.id, event.time, image);
    let with_path = Event { image: Some(path.clone()), ..event.clone() };
    if insert_event(connection, &with_path, waiting)? {
        let row = ImageRow {
            path,
            id: event.id.clone(),
            bytes: Archive::size(image),
            station: event.station.clone(),
            kind: event.kind.name().to_owned(),
            time: event.time,
            shelf: event.shelf.clone(),
            config: event.config.clone(),
            roi: image.roi,
            reading: None,
        };
        let rank = if event.kind == EventKind::Reject { Rank::Reject } else { Rank::Review };
        row.with_reading(event.reading.as_ref()).insert(connection, rank)?;
    }
    Ok(())
}

/// Whether the event was new. The same id again is the same event.
pub(super) fn insert_event(connection: &Connection, event: &Event, waiting: bool) -> rusqlite::Result<bool> {
    let json = serde_json::to_string(event).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO events(id, station, kind, time, waiting, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(id) DO NOTHING",
    )?;
    let time = event.time.as_microsecond();
    Ok(statement.execute(params![event.id, event.station, event.kind.name(), time, waiting, json])? == 1)
}

fn insert_pass(connection: &Connection, pass: &Pass) -> rusqlite::Result<()> {
    let reading = serde_json::to_string(&pass.reading);
    let reading = reading.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO passes(id, station, time, part, reading) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO NOTHING",
    )?;
    let time = pass.time.as_microsecond();
    let new = statement.execute(params![pass.id, pass.station, time, pass.part as i64, reading])? == 1;
    if let (true, Some(image)) = (new, &pass.image) {
        let row = ImageRow {
            path: Archive::path(&pass.id, pass.time, image),
            id: pass.id.clone(),
            bytes: Archive::size(image),
            station: pass.station.clone(),
            kind: "pass".to_owned(),
            time: pass.time,
            shelf: pass.shelf.clone(),
            config: pass.config.clone(),
            roi: image.roi,
            reading: None,
        };
        row.with_reading(Some(&pass.reading)).insert(connection, Rank::Pass)?;
    }
    Ok(())
}
