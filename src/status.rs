//! How the stations are doing: the retained `state` and the `stats` of MQTT, and the snapshot behind `/metrics` and
//! `/healthz`. Counters begin at 0 when the program starts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::EventFault;

/// What a station is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The shelf is being loaded and proven; no part is judged.
    #[default]
    Starting,
    /// Parts are judged.
    Ready,
    /// Something is wrong; parts may not be judged.
    Fault,
    /// The station ended in order.
    Stopped,
}

/// The message on `…/<station>/state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StationState {
    /// Version of the schema: it grows when a field changes its meaning.
    pub schema: u32,
    /// Name of the station.
    pub station: String,
    /// What it is doing.
    pub state: Phase,
    /// Whether parts are judged: the shelf is proven and nothing is wrong.
    pub ready: bool,
    /// What is wrong, in the state `fault`; the gravest where several things are.
    #[serde(default)]
    pub fault: Option<EventFault>,
    /// SHA-256 of the shelf file, hexadecimal; null until it is read.
    #[serde(default)]
    pub shelf: Option<String>,
    /// The product that the shelf names.
    #[serde(default)]
    pub product: Option<String>,
    /// Since when the state is this one, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// When the last part was rejected, UTC; null if none was since the program started.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub last_reject: Option<Timestamp>,
    /// Version of the program.
    pub version: String,
}

/// The message on `…/<station>/stats`. All counts are since the program started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Version of the schema: it grows when a field changes its meaning.
    pub schema: u32,
    /// Name of the station.
    pub station: String,
    /// When the counts were read, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// When the program started, UTC: counts begin at 0 there.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started: Timestamp,
    /// Parts that were judged: passed, review and rejected together.
    pub inspected: u64,
    /// Parts that passed.
    pub passed: u64,
    /// Parts for a person to see.
    pub review: u64,
    /// Parts that were rejected.
    pub rejected: u64,
    /// Inspections that failed, and other faults.
    pub faults: u64,
    /// Images that were taken but not judged because newer ones waited.
    pub dropped: u64,
    /// Verdicts that came after their deadline.
    pub late: u64,
    /// Median time from trigger (or capture) to verdict, in milliseconds; null before the first part.
    #[serde(default)]
    pub latency_p50_ms: Option<f64>,
    /// 95 of 100 verdicts came within this many milliseconds.
    #[serde(default)]
    pub latency_p95_ms: Option<f64>,
    /// Images judged a second, over the last minute.
    pub fps: f64,
}

/// Counts of durations in fixed classes; adding one allocates nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; Self::BOUNDS_MS.len() + 1],
    sum_ms: f64,
}

impl Histogram {
    /// Upper bounds of the classes in milliseconds; the last class has none.
    pub const BOUNDS_MS: [f64; 14] =
        [1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0, 5000.0];

    /// Counts one duration; one that is no number counts in the last class.
    pub fn add(&mut self, ms: f64) {
        let class = Self::BOUNDS_MS.iter().position(|&bound| ms <= bound).unwrap_or(Self::BOUNDS_MS.len());
        self.counts[class] += 1;
        self.sum_ms += if ms.is_finite() { ms.max(0.0) } else { 0.0 };
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations in milliseconds.
    pub const fn sum_ms(&self) -> f64 {
        self.sum_ms
    }

    /// Bound of each class and how many lie at or below it, without the last class.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let below = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::BOUNDS_MS.into_iter().zip(below)
    }

    /// The duration that a share `q` of all stay below, linear within its class and at most the highest bound;
    /// `None` while nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = q.clamp(0.0, 1.0) * self.count() as f64;
        let (mut below, mut from) = (0.0, 0.0);
        for (bound, count) in Self::BOUNDS_MS.into_iter().zip(self.counts) {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                return Some(from + (bound - from) * ((wanted - below) / count).clamp(0.0, 1.0));
            }
            (below, from) = (below + count, bound);
        }
        (self.count() > 0).then_some(from)
    }
}

/// One station in a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StationSnapshot {
    /// Its name.
    pub station: String,
    /// What it is doing.
    pub phase: Phase,
    /// What is wrong now.
    pub fault: Option<EventFault>,
    /// SHA-256 of the shelf file, hexadecimal; `None` where it was refused.
    pub shelf: Option<String>,
    /// Parts that passed.
    pub passed: u64,
    /// Parts for a person to see.
    pub review: u64,
    /// Parts that were rejected.
    pub rejected: u64,
    /// Images that could not be judged.
    pub failed: u64,
    /// Faults that began, by code.
    pub faults: BTreeMap<String, u64>,
    /// Images that were taken but not judged because newer ones waited.
    pub dropped: u64,
    /// Verdicts that came after their deadline.
    pub late: u64,
    /// Images that wait to be judged.
    pub queue: u64,
    /// Time from trigger (or capture) to verdict.
    pub latency: Histogram,
    /// Share and score: this share of recent scores lies below; empty before the first part.
    pub scores: Vec<(f64, f64)>,
    /// Images judged a second, over the last minute.
    pub fps: f64,
}

impl StationSnapshot {
    /// Parts that were judged: passed, review and rejected together.
    pub fn judged(&self) -> u64 {
        self.passed + self.review + self.rejected
    }
}

/// The connection to the broker in a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerSnapshot {
    /// Whether it is there.
    pub connected: bool,
    /// Connections made.
    pub connections: u64,
    /// What hinders it, in words.
    pub trouble: Option<String>,
}

/// Everything that the web page and `/metrics` show, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Version of the program.
    pub version: String,
    /// When the program started, in seconds since 1970.
    pub started: f64,
    /// The stations.
    pub stations: Vec<StationSnapshot>,
    /// Whether the heartbeat output toggles; `None` where there is no such output.
    pub run_ok: Option<bool>,
    /// The broker; `None` where none is configured.
    pub broker: Option<BrokerSnapshot>,
    /// Events that wait for the broker.
    pub outbox_waiting: u64,
    /// What hinders the journal, in words.
    pub journal_trouble: Option<String>,
}

impl Snapshot {
    /// Whether every station judges parts; a program without stations is not ready.
    pub fn ready(&self) -> bool {
        !self.stations.is_empty() && self.stations.iter().all(|station| station.phase == Phase::Ready)
    }
}

/// Something whose state can be shown: the running stations.
pub trait Shown: Send + Sync {
    /// The state now. It is asked for on the web server's thread and must not wait for the frame loop.
    fn snapshot(&self) -> Snapshot;
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn quantiles_interpolate_within_a_class() {
        let mut latency = Histogram::default();
        assert_eq!(latency.quantile(0.5), None);
        for _ in 0..10 {
            latency.add(15.0);
        }
        assert_eq!(latency.quantile(0.5), Some(15.0));
        assert_eq!(latency.quantile(1.0), Some(20.0));
        for _ in 0..10 {
            latency.add(9999.0);
        }
        assert_eq!(latency.quantile(0.5), Some(20.0));
        assert_eq!(latency.quantile(0.95), Some(5000.0));
        latency.add(f64::NAN);
        latency.add(-1.0);
        assert_eq!(latency.count(), 22);
        assert_eq!(latency.sum_ms(), 10.0 * 15.0 + 10.0 * 9999.0);
        let cumulative: Vec<_> = latency.cumulative().collect();
        assert_eq!(cumulative[0], (1.0, 1));
        assert_eq!(cumulative[4], (20.0, 11));
        assert_eq!(cumulative[13], (5000.0, 11));
    }
}
