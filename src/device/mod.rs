//! The device at the line: stations from camera to verdict, pins and record, and who watches over them.

mod crew;
pub mod doctor;
mod fault;
mod ids;
pub mod install;
mod liveness;
mod notice;
mod outfit;
mod plant;
mod processor;
mod proof;
mod quiet;
mod record;
mod reload;
mod shelves;
mod shown;
mod sight;
mod station;
mod supervisor;
mod tally;
mod trials;

pub use fault::{FaultCode, Faults};
pub use ids::Ids;
pub use liveness::Liveness;
pub use plant::{Plant, PlantError};
pub use proof::{Proof, ProofError, prove};
pub use quiet::Quiet;
pub use sight::Sight;
pub use tally::Tally;
