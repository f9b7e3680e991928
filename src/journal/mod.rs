//! What the station remembers: events, counters and images in one folder that survives `kill -9`, full disks and damage.
//! Refuses a folder that another process holds and a journal that a newer program wrote; never a damaged one.

mod archive;
mod budget;
mod commit;
mod counts;
mod database;
mod error;
mod folder;
mod image_row;
mod intent;
mod open;
mod original;
mod outbox;
mod queue;
mod reader;
mod replay;
mod salvage;
mod scan;
mod writer;

pub use counts::{Counts, Pass};
pub use error::JournalError;
pub use folder::{archive_folder, intent_file, journal_file};
pub use image_row::ImageRow;
pub use intent::{Intents, NoSlot, Slot};
pub use open::{Journal, Opening};
pub use original::Original;
pub use outbox::JournalOutbox;
pub use reader::{Filter, Images, Reader, StoredEvent};
pub use replay::{Agreement, Retold};
pub use writer::{Drops, Full, Trouble, Unsaved, Writer, WriterOptions};
