//! The stations' end of the journal: hands over without ever waiting for the disk.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use super::counts::{Counts, Pass};
use super::error::JournalError;
use super::intent::Slot;
use super::open::Opening;
use super::original::Original;
use super::queue::{MOST_ALARMS, Queue};
use crate::event::Event;

/// How long dropping a [`Writer`] waits for the last commit.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// What the writer is to do beside writing.
pub struct WriterOptions {
    /// Events wait for a broker; without one they are journalled as sent.
    pub broker: bool,
    /// Called by the journal's thread after each commit that brought events.
    pub on_commit: Box<dyn Fn() + Send>,
}

impl Debug for WriterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterOptions").field("broker", &self.broker).finish_non_exhaustive()
    }
}

/// More alarms wait for the disk than memory is meant for: RUN-OK must stop. The alarm that was refused stays in the
/// intent file, where it was noted there, and becomes an event at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{MOST_ALARMS} alarms wait for the journal; free space or repair the disk, then the station goes on")]
pub struct Full;

/// The end came before the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{alarms} alarms were not written before the end; those noted in the intent file become events at the next start"
)]
pub struct Unsaved {
    /// Alarms not committed.
    pub alarms: usize,
}

/// Why the journal is behind. It tries again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// `disk-full` or `journal-failed`.
    pub code: &'static str,
    /// A sentence with the remedy.
    pub text: String,
}

/// What was given up to keep memory bounded, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Images of alarms and passes; their events and passes are kept.
    pub images: u64,
    /// Sampled passes.
    pub passes: u64,
    /// Calls of [`Writer::count`].
    pub counts: u64,
}

/// Hands events, passes and counters to the journal's thread; shared by the stations' threads by reference.
/// Dropping it waits up to five seconds for the last commit.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    closed: bool,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, closed: false }
    }

    /// Hands over an event with its image and the slot of its intent. An image whose bytes find no room in memory is
    /// dropped and counted, the event is kept. `event.image` is set by the journal.
    ///
    /// # Errors
    /// [`Full`], on which RUN-OK must stop.
    pub fn alarm(&self, event: Event, image: Option<Original>, slot: Option<Slot>) -> Result<(), Full> {
        self.queue.alarm(event, image, slot)
    }

    /// Hands over a sampled pass; where too many wait it is dropped and counted.
    pub fn pass(&self, pass: Pass) {
        self.queue.pass(pass);
    }

    /// Adds to the counters of the minute that `time` lies in. Allocates once a minute.
    pub fn count(&self, station: &str, time: Timestamp, counts: Counts) {
        self.queue.count(station, time.as_second().div_euclid(60), counts);
    }

    /// Why the journal is behind, while it is.
    pub fn trouble(&self) -> Option<Trouble> {
        self.queue.trouble()
    }

    /// What was dropped since the start.
    pub fn drops(&self) -> Drops {
        self.queue.drops()
    }

    /// Alarms that are not in the journal yet.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// The repair of a journal that was found damaged while running; told once.
    pub fn take_repaired(&self) -> Option<Opening> {
        self.queue.take_repaired()
    }

    /// Waits until all that was handed over before is in the journal, images included.
    ///
    /// # Errors
    /// [`Unsaved`] when it took longer.
    pub fn flush(&self, longest: Duration) -> Result<(), Unsaved> {
        if self.queue.flush(longest) { Ok(()) } else { Err(Unsaved { alarms: self.queue.waiting() }) }
    }

    /// Writes what waits and ends the journal's thread.
    ///
    /// # Errors
    /// [`Unsaved`] when it took longer; the thread then goes on until the process ends.
    pub fn close(mut self, longest: Duration) -> Result<(), Unsaved> {
        self.closed = true;
        let ended = self.queue.close(longest);
        match self.queue.waiting() {
            0 if ended => Ok(()),
            alarms => Err(Unsaved { alarms }),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.closed {
            self.queue.close(LAST_COMMIT);
        }
    }
}

impl Trouble {
    pub(super) fn of(error: &JournalError) -> Self {
        let code = if error.code() == "disk-full" { "disk-full" } else { "journal-failed" };
        Self { code, text: error.to_string() }
    }
}
