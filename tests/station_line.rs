//! The daemon at work, end to end: from every source to one verdict a part, to journal and broker, and to its end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
#[path = "station_line/files.rs"]
mod files;
mod mosquitto;
#[path = "station_line/reload.rs"]
mod reload;
#[path = "station_line/service.rs"]
mod service;
mod station;
#[path = "station_line/streams.rs"]
mod streams;
