//! The journal through its doors: what is signalled is recorded, whatever is killed, full or damaged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/disk.rs"]
mod disk;
#[path = "journal/kept.rs"]
mod kept;
#[path = "journal/killed.rs"]
mod killed;
mod small_disk;

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shelfwatch::config::JournalOptions;
use shelfwatch::event::{Event, EventKind, EventReading, SCHEMA};
use shelfwatch::journal::{Filter, Journal, Opening, Original, Reader, StoredEvent, Writer, WriterOptions};

const PATIENCE: Duration = Duration::from_mins(1);

/// The n-th event of a made-up start of the program.
fn event(start: u32, n: u64, kind: EventKind) -> Event {
    let begin: Timestamp = "2026-03-01T06:00:00Z".parse().unwrap();
    let score = -1.0 - n as f32 / 1000.0;
    Event {
        schema: SCHEMA,
        id: format!("{start:08x}-{n}"),
        kind,
        time: begin + SignedDuration::from_millis(n as i64 * 40),
        site: "plant".to_owned(),
        device: "line-4".to_owned(),
        station: "caps".to_owned(),
        part: Some(n),
        reading: Some(EventReading {
            score,
            p_value: 0.001,
            reject_below: -1.0,
            review_below: -0.5,
            class: Some("cap".to_owned()),
            latency_ms: 31.5,
        }),
        signalled: kind == EventKind::Reject,
        fault: None,
        image: None,
        shelf: "5e".repeat(32),
        config: "c0".repeat(32),
        recovered: false,
    }
}

fn image(bytes: usize) -> Original {
    let head = [0xff, 0xd8, 0xff, 0xe0];
    Original { bytes: head.into_iter().chain((4..bytes).map(|at| at as u8)).collect(), ..Original::default() }
}

fn quiet() -> WriterOptions {
    WriterOptions { broker: true, on_commit: Box::new(|| ()) }
}

/// The made-up events are older than any clock, so age must not count.
fn options() -> JournalOptions {
    JournalOptions { image_days: 100_000, ..JournalOptions::default() }
}

fn open(folder: &Path) -> (Journal, Opening) {
    Journal::open(folder, &options()).unwrap()
}

fn writer(folder: &Path) -> Writer {
    open(folder).0.into_writer(quiet()).unwrap()
}

fn stored(folder: &Path, filter: &Filter) -> Vec<StoredEvent> {
    Reader::open(folder).unwrap().events(filter).map(Result::unwrap).collect()
}

/// Numbers that differ from each other but not from run to run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
