//! What the station tells the world: one schema for the journal, MQTT and the web page.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the schema; it grows when a field changes its meaning, not when one is added.
pub const SCHEMA: u32 = 1;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A part was rejected.
    Reject,
    /// A part needs a person's look.
    Review,
    /// Something is wrong with the station; parts may not be judged.
    Fault,
    /// A fault is over.
    Recovered,
    /// The share of unfamiliar parts has risen for good: look at the process, the light or the camera.
    Drift,
    /// The station began to judge.
    Started,
    /// The station ended in order.
    Stopped,
}

impl EventKind {
    /// The word in JSON, topics and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Review => "review",
            Self::Fault => "fault",
            Self::Recovered => "recovered",
            Self::Drift => "drift",
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }
}

/// One event. The same `id` twice is the same event delivered twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Unique for ever: the start of the program in 8 hexadecimal digits, a dash, and a number that grows by one.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// When the image was taken or the fault noticed, UTC.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Name of the site.
    pub site: String,
    /// Name of the device.
    pub device: String,
    /// Name of the station.
    pub station: String,
    /// Number of the part since the station began; `None` where no part is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// The reading, where the part was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<EventReading>,
    /// Whether the reject output was (or will be) pulsed for it.
    #[serde(default)]
    pub signalled: bool,
    /// The fault, for `fault` and `recovered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<EventFault>,
    /// The kept image, relative to the archive; `None` where none is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// SHA-256 of the shelf file, hexadecimal.
    pub shelf: String,
    /// SHA-256 of the configuration file, hexadecimal.
    pub config: String,
    /// Whether it was written from the intent left by a killed process.
    #[serde(default)]
    pub recovered: bool,
}

/// The numbers behind a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventReading {
    /// The shelf's score; low means unfamiliar.
    pub score: f32,
    /// Share of good images that look at least as unfamiliar.
    pub p_value: f32,
    /// The threshold of the reject point.
    pub reject_below: f32,
    /// The threshold of the review point.
    pub review_below: f32,
    /// What the backbone takes it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Milliseconds from trigger (or capture) to verdict.
    pub latency_ms: f64,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventFault {
    /// A word that does not change, such as `camera-lost`.
    pub code: String,
    /// A sentence with the remedy.
    pub text: String,
}

/// An event that waits for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Grows with every event; the order of sending.
    pub number: i64,
    /// Name of the station.
    pub station: String,
    /// The event's JSON.
    pub json: String,
}

/// Events that must reach the broker: kept on disk until it has acknowledged them.
pub trait Outbox: Send + Sync {
    /// At most `limit` events with numbers above `after`, in order.
    ///
    /// # Errors
    /// What hinders reading, in words.
    fn waiting(&self, after: i64, limit: usize) -> Result<Vec<Waiting>, String>;

    /// The broker has these.
    ///
    /// # Errors
    /// What hinders writing, in words; the events are then sent again, with the same ids.
    fn acknowledged(&self, numbers: &[i64]) -> Result<(), String>;
}
