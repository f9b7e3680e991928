//! Damaged journals: each opens, what can be read is brought over, and it works from then on.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use shelfwatch::event::{EventKind, Outbox};
use shelfwatch::journal::{Filter, Journal, JournalError, Opening, intent_file, journal_file};
use tempfile::tempdir;

use super::{Dice, PATIENCE, event, open, quiet, stored, writer};

const EVENTS: u64 = 3000;

/// A closed journal of many events.
fn filled(folder: &Path, events: u64) {
    let writer = writer(folder);
    for n in 1..=events {
        writer.alarm(event(9, n, EventKind::Reject), None, None).unwrap();
        if n % 500 == 0 {
            writer.flush(PATIENCE).unwrap();
        }
    }
    writer.close(PATIENCE).unwrap();
}

/// Opens it, adds an event, reads all of it back and opens it again.
fn works(folder: &Path, what: &str) -> (Opening, usize) {
    let (journal, opening) = open(folder);
    let outbox = journal.outbox().unwrap();
    let before = stored(folder, &Filter::default()).len();
    let writer = journal.into_writer(quiet()).unwrap();
    writer.alarm(event(10, 1, EventKind::Reject), None, None).unwrap();
    writer.flush(PATIENCE).unwrap();
    assert_eq!(stored(folder, &Filter::default()).len(), before + 1, "{what}");
    assert_eq!(outbox.waiting(0, 10_000).unwrap().len(), before + 1, "{what}");
    writer.close(PATIENCE).unwrap();
    drop(outbox);
    assert_eq!(open(folder).1, Opening::Clean, "{what}");
    if let Opening::Repaired { kept, salvaged, lost } = &opening {
        assert!(kept.exists(), "{what}");
        assert_eq!(*salvaged, before as u64, "{what}");
        assert!(*lost <= EVENTS, "{what}: {lost}");
    }
    (opening, before)
}

fn damaged(original: &Path, what: &str, damage: impl FnOnce(&Path)) -> (Opening, usize) {
    let folder = tempdir().unwrap();
    let file = journal_file(folder.path());
    fs::copy(original, &file).unwrap();
    damage(&file);
    let begin = Instant::now();
    let found = works(folder.path(), what);
    println!("{what}: {:?}, {} events, {:?}", found.0, found.1, begin.elapsed());
    found
}

#[test]
fn damaged_journals_open_and_keep_what_can_be_read() {
    let folder = tempdir().unwrap();
    filled(folder.path(), EVENTS);
    let original = journal_file(folder.path());
    let length = fs::metadata(&original).unwrap().len();
    let pages = length / 4096;
    let mut dice = Dice(17);
    let write = |file: &Path, bytes: &[u8], at: u64| {
        fs::File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
    };
    let repaired = |opening: &Opening| matches!(opening, Opening::Repaired { .. });

    for round in 0..20 {
        // Random bytes over one to four pages, in any place.
        let hit: Vec<u64> = (0..=round % 4).map(|_| dice.below(pages)).collect();
        let bytes: Vec<u8> = (0..4096).map(|_| dice.below(256) as u8).collect();
        let (opening, left) = damaged(&original, &format!("random bytes over pages {hit:?}"), |file| {
            for page in &hit {
                write(file, &bytes, page * 4096);
            }
        });
        assert!(repaired(&opening));
        assert!(left as u64 > EVENTS * 8 / 10, "{hit:?}: {left}");
    }
    for at in [0, 16, 60, 100, 105] {
        let (_, left) = damaged(&original, &format!("eight bytes at {at}"), |file| write(file, &[0xa5; 8], at));
        assert_eq!(left as u64, EVENTS, "{at}");
    }
    for zeros in [1, 3, 10] {
        let (opening, left) = damaged(&original, &format!("{zeros} pages of zeros at the start"), |file| {
            write(file, &vec![0; zeros * 4096], 0);
        });
        assert!(repaired(&opening));
        assert!(left as u64 > EVENTS * 9 / 10, "{zeros}: {left}");
    }
    for (share, least) in [(9, 7), (5, 3), (1, 0)] {
        let cut = length * share / 10 + 1000;
        let (opening, left) = damaged(&original, &format!("cut at {share} tenths"), |file| {
            fs::File::options().write(true).open(file).unwrap().set_len(cut).unwrap();
        });
        assert!(repaired(&opening));
        assert!(left as u64 >= EVENTS * least / 10, "{share}: {left}");
    }
    let (opening, _) = damaged(&original, "no bytes", |file| fs::write(file, "").unwrap());
    assert_eq!(opening, Opening::Created);
    let (opening, _) = damaged(&original, "text", |file| fs::write(file, "hello ".repeat(5000)).unwrap());
    assert!(repaired(&opening));
    let (opening, left) = damaged(&original, "a log of garbage", |file| {
        fs::write(file.with_extension("sqlite-wal"), vec![0x5a; 100_000]).unwrap();
    });
    assert_eq!((opening, left as u64), (Opening::Clean, EVENTS));
}

#[test]
fn a_log_of_a_killed_process_is_read_up_to_its_damage() {
    let folder = tempdir().unwrap();
    let writer = writer(folder.path());
    for n in 1..=200 {
        writer.alarm(event(9, n, EventKind::Reject), None, None).unwrap();
        writer.flush(PATIENCE).unwrap();
    }
    let copy = tempdir().unwrap();
    let file = journal_file(folder.path());
    let log = |file: &Path| file.with_extension("sqlite-wal");
    fs::copy(&file, journal_file(copy.path())).unwrap();
    let mut bytes = fs::read(log(&file)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 5000].fill(0x77);
    fs::write(log(&journal_file(copy.path())), &bytes).unwrap();
    let (opening, left) = works(copy.path(), "a damaged log");
    println!("a log damaged in its middle: {opening:?}, {left} of 200 events");
    assert!(left > 20);
}

#[test]
fn damage_in_use_is_repaired_and_alarms_go_on() {
    let folder = tempdir().unwrap();
    // More than SQLite keeps in memory, where it would not notice.
    filled(folder.path(), EVENTS * 4);
    let (journal, _) = open(folder.path());
    let outbox = journal.outbox().unwrap();
    assert_eq!(outbox.waiting(0, 10).unwrap().len(), 10);
    let writer = journal.into_writer(quiet()).unwrap();
    let path = journal_file(folder.path());
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for page in (0..length / 4096).filter(|page| page % 5 != 1) {
        file.write_all_at(&[0x3c; 4096], page * 4096).unwrap();
    }
    for n in 1..=20 {
        writer.alarm(event(10, n, EventKind::Reject), None, None).unwrap();
    }
    writer.flush(PATIENCE).unwrap();
    let opening = writer.take_repaired();
    assert!(matches!(opening, Some(Opening::Repaired { .. })), "{opening:?}");
    let begin = Instant::now();
    while writer.trouble().is_some() {
        assert!(begin.elapsed() < PATIENCE, "{:?}", writer.trouble());
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(writer.take_repaired(), None);
    let left = stored(folder.path(), &Filter::default());
    println!("four pages of five destroyed while open: {opening:?}");
    let new = left.iter().filter(|stored| stored.event.id.starts_with("0000000a-")).count();
    assert_eq!((new, outbox.waiting(0, 100_000).unwrap().len()), (20, left.len()));
    writer.close(PATIENCE).unwrap();
}

#[test]
fn a_damaged_intent_file_owes_what_is_whole() {
    let folder = tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let intents = journal.intents();
    let slots: Vec<_> = (1..=100).map(|n| intents.note(&event(3, n, EventKind::Reject)).unwrap()).collect();
    drop((journal, intents, slots));
    let file = fs::File::options().write(true).open(intent_file(folder.path())).unwrap();
    // One slot torn, the head garbled, the end cut off.
    file.write_all_at(&[0xee; 100], 512 * 11 + 200).unwrap();
    file.write_all_at(b"garbage", 0).unwrap();
    file.set_len(512 * 51 + 7).unwrap();
    drop(file);
    let (journal, opening) = open(folder.path());
    assert_eq!((opening, journal.recovered()), (Opening::Clean, 49));
    let events = stored(folder.path(), &Filter::default());
    let expected = event(3, 1, EventKind::Reject);
    assert!(events.iter().all(|stored| stored.event.recovered && stored.waiting));
    assert_eq!(events[0].event, shelfwatch::event::Event { recovered: true, ..expected });
}

#[test]
fn a_second_daemon_and_a_newer_journal_are_refused_with_the_remedy() {
    let folder = tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let error = Journal::open(folder.path(), &shelfwatch::config::JournalOptions::default()).unwrap_err();
    assert_eq!(error.code(), "journal-held");
    assert!(error.to_string().contains("; stop the other"), "{error}");
    drop(journal);
    // SQLite keeps the version of the tables at byte 60.
    let file = fs::File::options().write(true).open(journal_file(folder.path())).unwrap();
    file.write_all_at(&7_u32.to_be_bytes(), 60).unwrap();
    let error = Journal::open(folder.path(), &shelfwatch::config::JournalOptions::default()).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 7, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("; install the newer"), "{error}");
}
