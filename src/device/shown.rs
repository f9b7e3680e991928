//! How the device is, for metrics, health and messages.

use std::sync::Arc;

use jiff::Timestamp;

use super::Tally;
use crate::alert::gpio::{Beat, Heartbeat};
use crate::alert::mqtt::Publisher;
use crate::event::SCHEMA;
use crate::journal::{JournalOutbox, Writer};
use crate::status::{BrokerSnapshot, Phase, Shown, Snapshot, StationSnapshot, StationState, Stats};

/// What a station is, apart from its numbers.
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// Name of the station.
    pub(super) station: String,
    /// SHA-256 of the shelf, hexadecimal; `None` where it was refused.
    pub(super) shelf: Option<String>,
    /// The product that the shelf names.
    pub(super) product: Option<String>,
    /// Its numbers.
    pub(super) tally: Arc<Tally>,
}

/// Everything that can be shown of a device.
pub(super) struct Board {
    /// When the program started.
    pub(super) started: Timestamp,
    /// The stations in the order of the configuration.
    pub(super) cards: Vec<Card>,
    /// RUN-OK.
    pub(super) heartbeat: Option<Arc<Heartbeat>>,
    /// The broker.
    pub(super) publisher: Option<Arc<Publisher>>,
    /// The journal.
    pub(super) writer: Arc<Writer>,
    /// Events that wait for the broker.
    pub(super) outbox: Arc<JournalOutbox>,
}

impl Shown for Board {
    fn snapshot(&self) -> Snapshot {
        let broker = self.publisher.as_ref().map(|publisher| BrokerSnapshot {
            connected: publisher.connected(),
            connections: publisher.counts().connections,
            trouble: publisher.trouble(),
        });
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.as_millisecond() as f64 / 1000.0,
            stations: self.cards.iter().map(Card::snapshot).collect(),
            run_ok: self.heartbeat.as_ref().map(|heartbeat| heartbeat.state() == Beat::Beating),
            broker,
            outbox_waiting: self.outbox.count().unwrap_or_default(),
            journal_trouble: self.writer.trouble().map(|trouble| trouble.text),
        }
    }
}

impl Card {
    fn snapshot(&self) -> StationSnapshot {
        StationSnapshot { shelf: self.shelf.clone(), ..self.tally.snapshot() }
    }

    /// The retained state, as it stands.
    pub(super) fn state(&self) -> StationState {
        let shown = self.tally.snapshot();
        let (since, last_reject) = self.tally.times();
        StationState {
            schema: SCHEMA,
            station: self.station.clone(),
            state: shown.phase,
            ready: shown.phase == Phase::Ready,
            fault: shown.fault,
            shelf: self.shelf.clone(),
            product: self.product.clone(),
            since,
            last_reject,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The figures since the program started.
    pub(super) fn stats(&self, started: Timestamp) -> Stats {
        let shown = self.tally.snapshot();
        Stats {
            schema: SCHEMA,
            station: self.station.clone(),
            time: Timestamp::now(),
            started,
            inspected: shown.judged(),
            passed: shown.passed,
            review: shown.review,
            rejected: shown.rejected,
            faults: shown.failed,
            dropped: shown.dropped,
            late: shown.late,
            latency_p50_ms: shown.latency.quantile(0.5),
            latency_p95_ms: shown.latency.quantile(0.95),
            fps: shown.fps,
        }
    }
}
