//! GPIO by the kernel's character device: pulses timed from the trigger, the RUN-OK heartbeat, and inputs by edge.
//!
//! Every thread here hands its errors to the station (`take_error`): none is swallowed, none ends the program.

mod edges;
mod error;
mod heartbeat;
mod input;
pub mod io_test;
mod lines;
mod output;
mod plan;
mod pulses;
mod shared;

pub use edges::{Edge, EdgeFilter};
pub use error::GpioError;
pub use heartbeat::{Beat, Heartbeat};
pub use input::{EdgeInput, EdgeOptions};
pub use lines::{ChipFacts, ChipLine, FoundLine, Survey};
pub use output::{LineFailure, Output, OutputLine};
pub use plan::{CAPACITY, OutputId, PulseCounts, PulseShape, Scheduled};
pub use pulses::Pulses;

/// What the kernel shows as the user of our lines.
pub const CONSUMER: &str = "shelfwatch";
