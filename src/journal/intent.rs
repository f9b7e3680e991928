//! The intent file: an alarm is noted in it before its pulse, so that a process killed in between still owes the event.
//! It survives the process, not a power cut; a torn or altered slot is passed over.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::error::JournalError;
use super::folder;
use crate::event::{Event, EventKind, EventReading, SCHEMA};

/// Alarms that may wait for the journal at a time.
const SLOTS: usize = 1024;
/// Bytes a slot: CRC-32 of all that follows, length (16 bit), zero (16 bit), payload. All little-endian.
const SLOT: usize = 512;
const HEAD: usize = 8;
/// The file's first slot holds this and zeros.
const MAGIC: &[u8; 24] = b"shelfwatch intents 1\n\0\0\0";
/// Longest name that is noted whole, in bytes; five of them, two hashes and the numbers fit a slot.
const MOST_NAME: usize = 48;
/// Characters of a hash.
const HASH: usize = 64;

/// Why an intent could not be noted. The station must then stop RUN-OK: a part might be signalled and not recorded.
#[derive(Debug, Error)]
pub enum NoSlot {
    /// The journal is behind by as many alarms as the file holds.
    #[error("all {SLOTS} slots of the intent file wait for the journal; see why the journal does not write")]
    Full,
    /// The system refuses the write.
    #[error("cannot write the intent file: {0}; check the disk it is on")]
    Io(#[from] std::io::Error),
}

impl NoSlot {
    /// A word that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full => "intents-full",
            Self::Io(_) => "intents-failed",
        }
    }
}

/// A noted intent. It goes to the writer with its event; dropped, it stays noted until the next start, which makes the
/// event of it.
#[derive(Debug)]
#[must_use = "give it to `Writer::alarm`, which frees it when the event is in the journal"]
pub struct Slot(usize);

/// What an event needs to be told after all.
#[derive(Serialize, Deserialize)]
struct Intent<'a> {
    id: &'a str,
    kind: EventKind,
    /// Nanoseconds since 1970.
    time: i64,
    site: &'a str,
    device: &'a str,
    station: &'a str,
    part: Option<u64>,
    reading: Option<Numbers<'a>>,
    signalled: bool,
    shelf: &'a str,
    config: &'a str,
}

/// An [`EventReading`] in the form that has no fields left out.
#[derive(Serialize, Deserialize)]
struct Numbers<'a> {
    score: f32,
    p_value: f32,
    reject_below: f32,
    review_below: f32,
    class: Option<&'a str>,
    latency_ms: f64,
}

/// The intent file; clones share it.
#[derive(Clone, Debug)]
pub struct Intents(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    file: File,
    /// One bit a slot.
    used: [AtomicU64; SLOTS / 64],
    /// Where to look for a free slot first.
    next: AtomicUsize,
}

impl Intents {
    /// Opens or makes the file in that folder and gives the events noted in it, with the slots they are in.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<(Slot, Event)>), JournalError> {
        fs::create_dir_all(folder).map_err(JournalError::file("make folder", folder))?;
        let path = folder::intent_file(folder);
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = open.map_err(JournalError::file("open", &path))?;
        folder::lock(&file, &path)?;
        let mut bytes = vec![0; SLOT * (SLOTS + 1)];
        let read = read_at_most(&file, &mut bytes).map_err(JournalError::file("read", &path))?;
        if read < bytes.len() || !bytes.starts_with(MAGIC) {
            // A shortened file may still owe events. What is missing is written as zeros, which also takes its place
            // on the disk before it is needed.
            bytes[..MAGIC.len()].copy_from_slice(MAGIC);
            let made = file.write_all_at(&bytes, 0).and_then(|()| file.sync_all());
            made.map_err(JournalError::file("write", &path))?;
        }
        let ring = Ring { file, used: [const { AtomicU64::new(0) }; SLOTS / 64], next: AtomicUsize::new(0) };
        let mut owed = Vec::new();
        for slot in 0..SLOTS {
            if let Some(event) = decode(&bytes[(slot + 1) * SLOT..(slot + 2) * SLOT]) {
                ring.used[slot / 64].fetch_or(1 << (slot % 64), Ordering::Relaxed);
                owed.push((Slot(slot), event));
            }
        }
        owed.sort_by(|(_, a), (_, b)| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok((Self(Arc::new(ring)), owed))
    }

    /// Notes the event before it is signalled: one write to the page cache, no allocation. Names longer than 48 bytes
    /// are cut; the image and the fault's text are not noted.
    ///
    /// # Errors
    /// [`NoSlot`], on which RUN-OK must stop.
    pub fn note(&self, event: &Event) -> Result<Slot, NoSlot> {
        let ring = &*self.0;
        let slot = ring.claim().ok_or(NoSlot::Full)?;
        let bytes = encode(event);
        match ring.file.write_all_at(&bytes, place(slot)) {
            Ok(()) => Ok(Slot(slot)),
            Err(error) => {
                ring.give_back(slot);
                Err(error.into())
            }
        }
    }

    /// Alarms noted and not yet in the journal.
    pub fn in_use(&self) -> usize {
        self.0.used.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    /// Whether half of the slots are free, so that one that was full is so no more.
    pub fn has_room(&self) -> bool {
        self.in_use() <= SLOTS / 2
    }

    /// Marks the intent as done. A mark that cannot be written leaves the intent, which the next start finds in the
    /// journal by its id.
    pub(super) fn done(&self, Slot(slot): Slot) {
        let _ = self.0.file.write_all_at(&[0; HEAD], place(slot));
        self.0.give_back(slot);
    }
}

impl Ring {
    fn claim(&self) -> Option<usize> {
        let start = self.next.load(Ordering::Relaxed);
        for step in 0..self.used.len() {
            let at = (start + step) % self.used.len();
            let mut word = self.used[at].load(Ordering::Relaxed);
            while word != u64::MAX {
                let bit = word.trailing_ones();
                let before = self.used[at].fetch_or(1 << bit, Ordering::AcqRel);
                if before & (1 << bit) == 0 {
                    self.next.store(at, Ordering::Relaxed);
                    return Some(at * 64 + bit as usize);
                }
                word = before;
            }
        }
        None
    }

    fn give_back(&self, slot: usize) {
        self.used[slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::AcqRel);
    }
}

fn place(slot: usize) -> u64 {
    ((slot + 1) * SLOT) as u64
}

fn read_at_most(file: &File, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn encode(event: &Event) -> [u8; SLOT] {
    let name = |text| cut(text, MOST_NAME);
    let intent = Intent {
        id: name(&event.id),
        kind: event.kind,
        time: i64::try_from(event.time.as_nanosecond()).unwrap_or(0),
        site: name(&event.site),
        device: name(&event.device),
        station: name(&event.station),
        part: event.part,
        reading: event.reading.as_ref().map(|reading| Numbers {
            score: reading.score,
            p_value: reading.p_value,
            reject_below: reading.reject_below,
            review_below: reading.review_below,
            class: reading.class.as_deref().map(name),
            latency_ms: reading.latency_ms,
        }),
        signalled: event.signalled,
        shelf: cut(&event.shelf, HASH),
        config: cut(&event.config, HASH),
    };
    let mut slot = [0; SLOT];
    let length = postcard::to_slice(&intent, &mut slot[HEAD..]).map_or(0, |payload| payload.len());
    slot[4..6].copy_from_slice(&(length as u16).to_le_bytes());
    let sum = crc32fast::hash(&slot[4..HEAD + length]);
    slot[..4].copy_from_slice(&sum.to_le_bytes());
    slot
}

/// `None` for a slot that is free, torn or altered.
fn decode(slot: &[u8]) -> Option<Event> {
    let (sum, rest) = slot.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
    let summed = rest.get(..HEAD - 4 + length).filter(|_| length > 0)?;
    if crc32fast::hash(summed) != u32::from_le_bytes(*sum) {
        return None;
    }
    let intent: Intent<'_> = postcard::from_bytes(&summed[HEAD - 4..]).ok()?;
    Some(Event {
        schema: SCHEMA,
        id: intent.id.to_owned(),
        kind: intent.kind,
        time: Timestamp::from_nanosecond(intent.time.into()).ok()?,
        site: intent.site.to_owned(),
        device: intent.device.to_owned(),
        station: intent.station.to_owned(),
        part: intent.part,
        reading: intent.reading.map(|numbers| EventReading {
            score: numbers.score,
            p_value: numbers.p_value,
            reject_below: numbers.reject_below,
            review_below: numbers.review_below,
            class: numbers.class.map(str::to_owned),
            latency_ms: numbers.latency_ms,
        }),
        signalled: intent.signalled,
        fault: None,
        image: None,
        shelf: intent.shelf.to_owned(),
        config: intent.config.to_owned(),
        recovered: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Event {
        let reading = EventReading {
            score: -1.5,
            p_value: 0.001,
            reject_below: -1.0,
            review_below: -0.5,
            class: Some(name.to_owned()),
            latency_ms: 12.25,
        };
        Event {
            schema: SCHEMA,
            id: "6650a1b2-18446744073709551615".to_owned(),
            kind: EventKind::Reject,
            time: "2026-02-03T04:05:06.123456789Z".parse().unwrap(),
            site: name.to_owned(),
            device: name.to_owned(),
            station: name.to_owned(),
            part: Some(u64::MAX),
            reading: Some(reading),
            signalled: true,
            fault: None,
            image: None,
            shelf: "f".repeat(64),
            config: "e".repeat(64),
            recovered: true,
        }
    }

    #[test]
    fn an_event_comes_back_from_its_slot_and_any_altered_byte_is_noticed() {
        let event_ = event(&"n".repeat(48));
        let slot = encode(&event_);
        assert_eq!(decode(&slot), Some(event_));
        let used = HEAD + usize::from(u16::from_le_bytes([slot[4], slot[5]]));
        for at in 0..used {
            let mut torn = slot;
            torn[at] ^= 0x55;
            assert_eq!(decode(&torn), None, "{at}");
        }
        assert_eq!(decode(&[0; SLOT]), None);
    }

    #[test]
    fn names_of_any_length_fit() {
        for name in ["", &"ü".repeat(500), &"x".repeat(10_000)] {
            let back = decode(&encode(&event(name))).unwrap();
            assert!(name.starts_with(&back.station) && back.id == event("").id);
        }
    }

    #[test]
    fn slots_are_given_once_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let (intents, owed) = Intents::open(folder.path()).unwrap();
        assert!(owed.is_empty());
        let mut slots: Vec<Slot> = (0..SLOTS).map(|_| intents.note(&event("s")).unwrap()).collect();
        assert!(matches!(intents.note(&event("s")), Err(NoSlot::Full)));
        let freed = slots.swap_remove(500);
        intents.done(freed);
        assert_eq!(intents.in_use(), SLOTS - 1);
        let again = intents.note(&event("s")).unwrap();
        intents.done(again);
        drop(intents);
        assert_eq!(Intents::open(folder.path()).unwrap().1.len(), SLOTS - 1);
    }
}
