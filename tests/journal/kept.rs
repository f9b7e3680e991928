//! What is kept: order, acknowledgement, counters, budgets, images, and memory over many events.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use shelfwatch::capture::PixelFormat;
use shelfwatch::config::JournalOptions;
use shelfwatch::event::{Event, EventKind, Outbox};
use shelfwatch::journal::{
    Counts, Filter, Full, Journal, Opening, Original, Pass, Reader, WriterOptions, archive_folder, journal_file,
};
use tempfile::tempdir;

use super::{PATIENCE, event, image, open, options, quiet, stored, writer};

/// Measuring and memory tests do not run beside each other.
static ALONE: Mutex<()> = Mutex::new(());

fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

#[test]
fn events_wait_in_order_until_they_are_acknowledged() {
    let folder = tempdir().unwrap();
    let (journal, opening) = open(folder.path());
    assert_eq!(opening, Opening::Created);
    let outbox = journal.outbox().unwrap();
    let (send, woken) = channel();
    let on_commit = Box::new(move || send.send(()).unwrap_or(()));
    let writer = journal.into_writer(WriterOptions { broker: true, on_commit }).unwrap();
    // The clock goes back an hour half-way: the order stays that of writing.
    let back = |event: Event| Event { time: event.time - SignedDuration::from_hours(1), ..event };
    for n in 1..=20 {
        let event = event(1, n, EventKind::Review);
        writer.alarm(if n > 10 { back(event) } else { event }, None, None).unwrap();
    }
    // The same event again is not a second one.
    writer.alarm(event(1, 5, EventKind::Review), None, None).unwrap();
    woken.recv_timeout(PATIENCE).unwrap();
    writer.flush(PATIENCE).unwrap();
    let waiting = outbox.waiting(0, 8).unwrap();
    let parts = |waiting: &[shelfwatch::event::Waiting]| -> Vec<u64> {
        waiting.iter().map(|one| serde_json::from_str::<Event>(&one.json).unwrap().part.unwrap()).collect()
    };
    assert_eq!(parts(&waiting), (1..=8).collect::<Vec<_>>());
    assert_eq!(parts(&outbox.waiting(waiting[7].number, 100).unwrap()), (9..=20).collect::<Vec<_>>());
    outbox.acknowledged(&[waiting[0].number, waiting[1].number, waiting[4].number, 999_999]).unwrap();
    assert_eq!(parts(&outbox.waiting(0, 3).unwrap()), [3, 4, 6]);
    drop((writer, outbox));

    let newest = Filter { newest_first: true, ..Filter::default() };
    let parts: Vec<u64> = stored(folder.path(), &newest).iter().map(|stored| stored.event.part.unwrap()).collect();
    assert_eq!(parts, (1..=20).rev().collect::<Vec<_>>());
    // Without a broker nothing waits.
    let (journal, _) = open(folder.path());
    let outbox = journal.outbox().unwrap();
    let writer = journal.into_writer(WriterOptions { broker: false, on_commit: Box::new(|| ()) }).unwrap();
    writer.alarm(event(2, 1, EventKind::Fault), None, None).unwrap();
    writer.flush(PATIENCE).unwrap();
    assert_eq!(outbox.waiting(0, 10).unwrap(), []);
}

#[test]
fn filters_counters_and_passes_are_read_back_while_the_daemon_writes() {
    let folder = tempdir().unwrap();
    let writer = writer(folder.path());
    let minute = |n: i64| Timestamp::from_second(1_800_000_000 + n * 60).unwrap();
    for n in 0..1200_u64 {
        let kind = [EventKind::Reject, EventKind::Review, EventKind::Fault][n as usize % 3];
        let station = ["caps", "labels"][n as usize % 2].to_owned();
        writer.alarm(Event { station: station.clone(), ..event(1, n, kind) }, None, None).unwrap();
        let counts = Counts { inspected: 2, rejected: 1, passed: 1, ..Counts::default() };
        writer.count(&station, minute(n as i64 / 100), counts);
        if n == 600 {
            writer.flush(PATIENCE).unwrap();
        }
    }
    let one = event(2, 7, EventKind::Review);
    let roi = Some([10, 20, 300, 200]);
    let raw = Original { format: PixelFormat::Nv12, width: 4, height: 2, stride: 4, roi, bytes: (0..12).collect() };
    let pass = Pass {
        id: one.id,
        station: "caps".to_owned(),
        time: one.time,
        part: 7,
        reading: one.reading.unwrap(),
        shelf: one.shelf,
        config: one.config,
        image: Some(raw.clone()),
    };
    writer.pass(pass.clone());
    writer.flush(PATIENCE).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let filter = Filter {
        station: Some("labels".to_owned()),
        kinds: vec![EventKind::Reject, EventKind::Fault],
        since: Some(event(1, 300, EventKind::Fault).time),
        until: Some(event(1, 900, EventKind::Fault).time),
        ..Filter::default()
    };
    let parts: Vec<u64> = reader.events(&filter).map(|stored| stored.unwrap().event.part.unwrap()).collect();
    assert_eq!(parts, (300..900).filter(|n| n % 2 == 1 && n % 3 != 1).collect::<Vec<_>>());
    let half = Counts { inspected: 1200, rejected: 600, passed: 600, ..Counts::default() };
    assert_eq!(reader.counts(None, None).unwrap(), [("caps".to_owned(), half), ("labels".to_owned(), half)]);
    let two = reader.counts(Some(minute(1)), Some(minute(3))).unwrap();
    assert_eq!(two[0].1, Counts { inspected: 200, rejected: 100, passed: 100, ..Counts::default() });
    let passes: Vec<Pass> = reader.passes(&Filter::default()).map(Result::unwrap).collect();
    assert_eq!(passes, [Pass { image: None, ..pass }]);
    let images: Vec<_> = reader.images(&Filter::default()).map(Result::unwrap).collect();
    assert_eq!((images.len(), images[0].kind.as_str(), images[0].roi), (1, "pass", roi));
    assert_eq!(Path::new(&images[0].path).extension().unwrap(), "raw");
    assert_eq!(images[0].load(folder.path()).unwrap(), raw);
    assert!(images[0].reading.unwrap()[0].to_bits() == passes[0].reading.score.to_bits());
    // Closed, it is read as well.
    writer.close(PATIENCE).unwrap();
    assert_eq!(stored(folder.path(), &Filter::default()).len(), 1200);
}

#[test]
fn the_archive_keeps_to_its_bytes_and_the_least_important_go_first() {
    let folder = tempdir().unwrap();
    let options = JournalOptions { image_megabytes: 1, ..options() };
    let writer = Journal::open(folder.path(), &options).unwrap().0.into_writer(quiet()).unwrap();
    let add_pass = |n: u64| {
        let one = event(1, n, EventKind::Review);
        let (reading, image) = (one.reading.unwrap(), Some(image(20_000)));
        let (shelf, config) = (one.shelf, one.config);
        writer.pass(Pass { id: one.id, station: one.station, time: one.time, part: n, reading, shelf, config, image });
    };
    for n in 0..60 {
        let kind = [EventKind::Reject, EventKind::Review, EventKind::Fault][n as usize % 3];
        match n % 3 {
            2 => add_pass(n),
            _ => writer.alarm(event(1, n, kind), Some(image(20_000)), None).unwrap(),
        }
        // One after the other, so that passes are not written before alarms.
        writer.flush(PATIENCE).unwrap();
    }
    let reader = Reader::open(folder.path()).unwrap();
    let kept = || -> Vec<(String, u64)> {
        let images = reader.images(&Filter::default()).map(Result::unwrap);
        images.map(|image| (image.kind, image.id.rsplit('-').next().unwrap().parse().unwrap())).collect()
    };
    // 20,000 bytes take five blocks; 48 of them fit a megabyte. Twelve went: the oldest passes.
    let passes: Vec<u64> = kept().into_iter().filter(|(kind, _)| kind == "pass").map(|(_, n)| n).collect();
    assert_eq!((kept().len(), passes), (48, (36..60).filter(|n| n % 3 == 2).collect()));
    for n in 60..110 {
        writer.alarm(event(1, n, EventKind::Reject), Some(image(20_000)), None).unwrap();
    }
    writer.flush(PATIENCE).unwrap();
    let left = kept();
    assert!(left.iter().all(|(kind, _)| kind == "reject"), "{left:?}");
    assert_eq!(left.last().unwrap().1, 109);
    // An event whose image went says so.
    let first = &stored(folder.path(), &Filter::default())[0];
    assert_eq!((first.event.part, &first.event.image, &first.image), (Some(0), &None, &None));
    writer.close(PATIENCE).unwrap();
    drop(reader);

    // Rows and files that have lost each other: one image deleted, one file added, one half written.
    let kept = stored(folder.path(), &Filter::default()).into_iter().filter_map(|stored| stored.event.image);
    let kept: Vec<String> = kept.collect();
    let archive = archive_folder(folder.path());
    fs::remove_file(archive.join(&kept[0])).unwrap();
    fs::write(archive.join("images/found.jpg"), [1; 100]).unwrap();
    fs::write(archive.join("images/.unfinished"), [1; 100]).unwrap();
    let (journal, opening) = Journal::open(folder.path(), &options).unwrap();
    assert_eq!(opening, Opening::Clean);
    let reader = Reader::open(folder.path()).unwrap();
    let images: Vec<_> = reader.images(&Filter::default()).map(Result::unwrap).collect();
    assert_eq!(images.len(), kept.len());
    assert_eq!((images.last().unwrap().kind.as_str(), images.last().unwrap().bytes), ("unknown", 4096));
    assert!(!archive.join("images/.unfinished").exists());
    drop(journal);

    // Age: they are of an earlier year than this clock says, all but the file just found.
    let options = JournalOptions { image_days: 30, ..options };
    let writer = Journal::open(folder.path(), &options).unwrap().0.into_writer(quiet()).unwrap();
    writer.flush(PATIENCE).unwrap();
    writer.close(PATIENCE).unwrap();
    let left: Vec<String> = reader.images(&Filter::default()).map(|image| image.unwrap().path).collect();
    assert_eq!(left, ["images/found.jpg"]);
    assert!(!archive.join("images/2026").exists(), "empty folders stay");
}

#[test]
fn memory_is_bounded_while_the_disk_cannot_follow() {
    let _alone = ALONE.lock();
    let folder = tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let writer = journal.into_writer(quiet()).unwrap();
    // Somebody else holds the right to write.
    let other = rusqlite::Connection::open(journal_file(folder.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (mut taken, mut slowest) = (0, Duration::ZERO);
    for n in 0..12_000 {
        let (event, image) = (event(1, n, EventKind::Reject), (n < 80).then(|| image(1_000_000)));
        let begin = Instant::now();
        let result = writer.alarm(event, image, None);
        slowest = slowest.max(begin.elapsed());
        taken += u64::from(result.is_ok());
        assert!(result == Ok(()) || result == Err(Full) && n >= 10_000);
    }
    assert_eq!((taken, writer.drops().images), (10_000, 80 - 67));
    println!("slowest hand-over beside a locked journal: {slowest:?}");
    other.execute_batch("COMMIT").unwrap();
    writer.flush(PATIENCE * 2).unwrap();
    let events = stored(folder.path(), &Filter::default());
    assert_eq!(events.iter().filter(|stored| stored.event.image.is_some()).count(), 67);
    assert_eq!(events.len() as u64, taken);
}

#[test]
fn a_hundred_thousand_events_leave_memory_flat() {
    let _alone = ALONE.lock();
    let folder = tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let (outbox, intents) = (journal.outbox().unwrap(), journal.intents());
    let writer = journal.into_writer(quiet()).unwrap();
    let (begin, mut after_warming) = (Instant::now(), 0);
    let mut notes = Vec::with_capacity(100_000);
    for n in 1..=100_000 {
        let event = event(1, n, EventKind::Reject);
        let slot = loop {
            let noting = Instant::now();
            match intents.note(&event) {
                Ok(slot) => {
                    notes.push(noting.elapsed());
                    break slot;
                }
                Err(_) => std::thread::sleep(Duration::from_micros(100)),
            }
        };
        writer.alarm(event, None, Some(slot)).unwrap();
        if n == 20_000 {
            after_warming = resident();
        }
    }
    writer.flush(PATIENCE * 2).unwrap();
    let (took, grown) = (begin.elapsed(), resident().saturating_sub(after_warming));
    println!("100,000 events in {took:?}; memory grew by {grown} KiB after the first 20,000");
    notes.sort();
    println!("a note in the intent file: median {:?}, 99.9 % {:?}", notes[50_000], notes[99_900]);
    assert!(grown < 16 << 10, "{grown} KiB");
    let begin = Instant::now();
    let page = outbox.waiting(50_000, 100).unwrap();
    println!("100 of 100,000 waiting: {:?}", begin.elapsed());
    assert_eq!((page.len(), page[0].number), (100, 50_001));
    let begin = Instant::now();
    let mut after = 0;
    loop {
        let page = outbox.waiting(after, 100).unwrap();
        let Some(last) = page.last() else { break };
        after = last.number;
        outbox.acknowledged(&page.iter().map(|one| one.number).collect::<Vec<_>>()).unwrap();
    }
    println!("100,000 acknowledged by the hundred: {:?}", begin.elapsed());
    assert_eq!(outbox.waiting(0, 1).unwrap(), []);
    writer.close(PATIENCE).unwrap();
    drop((outbox, intents));
    let file = rusqlite::Connection::open(journal_file(folder.path())).unwrap();
    for check in ["quick_check", "integrity_check"] {
        let begin = Instant::now();
        let word: String = file.pragma_query_value(None, check, |row| row.get(0)).unwrap();
        println!("{check} of 100,000 events: {:?} ({word})", begin.elapsed());
    }
    drop(file);
    let begin = Instant::now();
    assert_eq!(open(folder.path()).1, Opening::Clean);
    println!("opening with 100,000 events: {:?}", begin.elapsed());
}
