//! The daemon and what goes wrong on a line: each fault is told, stops what must stop, and is over without a person.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
#[path = "station_faults/disk.rs"]
mod disk;
mod drawn;
#[path = "station_faults/images.rs"]
mod images;
#[path = "station_faults/journal.rs"]
mod journal;
mod mosquitto;
mod small_disk;
#[path = "station_faults/sources.rs"]
mod sources;
mod station;
