//! The whole configuration and its tables.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::lines::{Line, LineRef, PulseLine};
use super::source::Source;

/// A device with its stations.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the plant; part of the MQTT topics.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub site: String,
    /// Name of this device; part of the MQTT topics.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub device: String,
    /// Folder for journal and images.
    #[serde(default = "default_state")]
    pub state: PathBuf,
    /// The cameras.
    #[schemars(length(min = 1))]
    pub station: Vec<Station>,
    /// Heartbeat output that stops when parts could pass unseen.
    #[serde(default)]
    pub run_ok: Option<RunOk>,
    /// Input that clears held outputs.
    #[serde(default)]
    pub clear: Option<Line>,
    /// The broker; left out, nothing is sent.
    #[serde(default)]
    pub mqtt: Option<Mqtt>,
    /// What is kept and how long.
    #[serde(default)]
    pub journal: JournalOptions,
    /// Metrics and health over HTTP.
    #[serde(default)]
    pub web: Web,
    /// Which shelves this device takes.
    #[serde(default)]
    pub install: Install,
    /// Of the text this came from.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) sha256: String,
}

impl Config {
    /// SHA-256 of the text this came from, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The stations' names, in their order.
    pub fn station_names(&self) -> Vec<String> {
        self.station.iter().map(|station| station.name.clone()).collect()
    }

    /// The station of that name.
    pub fn station(&self, name: &str) -> Option<&Station> {
        self.station.iter().find(|station| station.name == name)
    }
}

fn default_state() -> PathBuf {
    PathBuf::from("/var/lib/shelfwatch")
}

/// One camera with its shelf and outputs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// Name, unique on the device; part of the MQTT topics.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// The fitted shelf.
    pub shelf: PathBuf,
    /// ONNX file of a detached shelf.
    #[serde(default)]
    pub backbone: Option<PathBuf>,
    /// Left, top, width and height of the part of the image that is judged, in pixels of the source.
    #[serde(default)]
    pub roi: Option<[u32; 4]>,
    /// Where images come from.
    pub source: Source,
    /// No image for this long is the fault `camera-lost`; in milliseconds.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 10, max = 86_400_000))]
    pub timeout_ms: u32,
    /// Longest time from trigger (or capture) to verdict, in milliseconds; beyond it RUN-OK stops.
    #[serde(default = "default_deadline")]
    #[schemars(range(min = 1, max = 600_000))]
    pub deadline_ms: u32,
    /// Processors that compute one image together.
    #[serde(default = "default_threads")]
    #[schemars(range(min = 1, max = 16))]
    pub threads: u8,
    /// What asks for an image.
    #[serde(default)]
    pub trigger: Trigger,
    /// From readings to verdicts.
    #[serde(default)]
    pub decide: Decide,
    /// Pulsed for a rejected part.
    #[serde(default)]
    pub reject: Option<PulseLine>,
    /// Pulsed for a part that a person should see.
    #[serde(default)]
    pub review: Option<PulseLine>,
    /// When an image is a fault rather than a part.
    #[serde(default)]
    pub health: Health,
    /// When a rise of unfamiliar parts is called drift.
    #[serde(default)]
    pub drift: DriftOptions,
}

fn default_timeout() -> u32 {
    2000
}

fn default_deadline() -> u32 {
    1000
}

fn default_threads() -> u8 {
    1
}

/// What asks for an image.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trigger {
    /// Images are taken as they come, at most `rate` a second.
    Free {
        /// Images a second; left out, every image.
        #[serde(default)]
        #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
        rate: Option<f64>,
    },
    /// An edge on an input.
    Gpio {
        /// The input.
        input: Line,
        /// The edge from active to inactive counts, instead of the other.
        #[serde(default)]
        falling: bool,
        /// Edges closer than this are one, in microseconds.
        #[serde(default = "default_debounce")]
        #[schemars(range(max = 1_000_000))]
        debounce_us: u32,
        /// The image is the first one taken this long after the edge, in milliseconds.
        #[serde(default)]
        #[schemars(range(max = 600_000))]
        delay_ms: u32,
        /// One taken later than this after that shows another part: the fault `no-image`. In milliseconds.
        #[serde(default = "default_window")]
        #[schemars(range(min = 1, max = 600_000))]
        window_ms: u32,
    },
    /// A message on `<prefix>/<site>/<device>/<station>/trigger`.
    Mqtt {
        /// The image is the first one taken this long after the message, in milliseconds.
        #[serde(default)]
        #[schemars(range(max = 600_000))]
        delay_ms: u32,
        /// One taken later than this after that shows another part: the fault `no-image`. In milliseconds.
        #[serde(default = "default_window")]
        #[schemars(range(min = 1, max = 600_000))]
        window_ms: u32,
    },
}

impl Default for Trigger {
    fn default() -> Self {
        Self::Free { rate: None }
    }
}

fn default_debounce() -> u32 {
    1000
}

fn default_window() -> u32 {
    500
}

/// From readings to verdicts; the defaults judge each image by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decide {
    /// Rejecting readings needed among the last `n`.
    #[schemars(range(min = 1, max = 32))]
    pub k: u8,
    /// Readings looked back on, at most 32.
    #[schemars(range(min = 1, max = 32))]
    pub n: u8,
    /// After a signal, none for this long; in milliseconds.
    #[schemars(range(max = 3_600_000))]
    pub hold_ms: u32,
    /// After a signal, none before this many readings in a row were not rejecting.
    pub rearm: u8,
}

impl Default for Decide {
    fn default() -> Self {
        Self { k: 1, n: 1, hold_ms: 0, rearm: 0 }
    }
}

/// When an image is a fault rather than a part. Levels are luminance from 0 to 255.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// An image whose brightest percent lies below this level is black.
    pub black_below: u8,
    /// An image whose darkest percent lies above this level is overexposed.
    pub white_above: u8,
    /// So many identical images in a row are a frozen camera; 0 switches this off.
    pub frozen_after: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { black_below: 16, white_above: 250, frozen_after: 25 }
    }
}

/// The drift detector's setting; see `docs/drift.md`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftOptions {
    /// Mean number of parts between two false declarations, at least.
    #[schemars(range(max = 1e9), extend("exclusiveMinimum" = 1.0))]
    pub run_length: f64,
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self { run_length: 2000.0 }
    }
}

/// Heartbeat output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunOk {
    /// As [`Line::chip`].
    #[serde(default)]
    pub chip: Option<String>,
    /// Name or number.
    pub line: LineRef,
    /// The line is active when low.
    #[serde(default)]
    pub active_low: bool,
    /// It changes every so many milliseconds while all is well.
    #[serde(default = "default_period")]
    #[schemars(range(min = 10, max = 10_000))]
    pub period_ms: u32,
}

fn default_period() -> u32 {
    250
}

/// How to reach the broker and what to send.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// Name or address.
    pub host: String,
    /// 1883, or 8883 with TLS, unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// User name.
    #[serde(default)]
    pub user: Option<String>,
    /// File whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority that signed the broker's certificate; given, TLS is used.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate.
    #[serde(default)]
    pub client_cert: Option<PathBuf>,
    /// PEM file of our key.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// First part of every topic.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Announce the device to Home Assistant.
    #[serde(default)]
    pub home_assistant: bool,
}

fn default_prefix() -> String {
    "shelfwatch".to_owned()
}

/// What is kept and how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournalOptions {
    /// Most megabytes of images.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub image_megabytes: u64,
    /// Images older than this go, in days.
    #[schemars(range(min = 1, max = 36_500))]
    pub image_days: u32,
    /// Of the passes, every so many-th is kept with its image; 0 keeps none.
    pub keep_every: u32,
    /// Folder of the intent file, which a killed process leaves for the next; best on a tmpfs. Left out, `state`.
    pub intent: Option<PathBuf>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { image_megabytes: 2000, image_days: 90, keep_every: 1000, intent: None }
    }
}

/// Which shelves this device takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Install {
    /// PEM files of the public keys that sign shelves for this device.
    pub keys: Vec<PathBuf>,
    /// Shelves that nobody has signed are taken, too.
    pub unsigned: bool,
    /// Signed shelves are taken from a USB stick that is plugged in.
    pub usb: bool,
    /// Most megabytes of a shelf.
    #[schemars(range(min = 1, max = 1024))]
    pub megabytes: u32,
}

impl Default for Install {
    fn default() -> Self {
        Self { keys: Vec::new(), unsigned: false, usb: false, megabytes: 256 }
    }
}

impl Install {
    /// Most bytes of a shelf.
    pub const fn bytes(&self) -> u64 {
        self.megabytes as u64 * 1_000_000
    }
}

/// Metrics and health over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address and port; an empty text switches it off.
    #[serde(deserialize_with = "address_or_off")]
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: Option<SocketAddr>,
}

impl Default for Web {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))) }
    }
}

fn address_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}
