//! What leaves the station when a part is judged: lines that switch, messages that are sent.

pub mod gpio;
pub mod mqtt;
