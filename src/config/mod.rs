//! The station's configuration: TOML in, a checked [`Config`] out. Refuses unknown keys and names the nearest known one.

mod check;
mod check_lines;
mod error;
mod key_path;
mod lines;
mod parse;
mod paths;
mod secret;
mod shape;
mod source;
mod station;

pub use error::{ConfigError, Problem};
pub use lines::{Bias, LateResult, Line, LineRef, PulseLine};
pub use parse::schema;
pub use secret::without_secrets;
pub use source::{After, Frames, Source};
pub use station::{Config, Decide, DriftOptions, Health, Install, JournalOptions, Mqtt, RunOk, Station, Trigger, Web};
