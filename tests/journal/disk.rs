//! A full disk: a small file system in memory, filled by a file and freed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use shelfwatch::event::EventKind;
use shelfwatch::journal::{Filter, Opening, Original, Pass, Reader, WriterOptions};

use super::small_disk::Small;
use super::{PATIENCE, event, image, open, quiet, stored};

#[test]
fn a_full_disk_is_reported_and_nothing_is_lost_when_room_returns() {
    let Some(disk) = Small::mount(6) else { return };
    let commits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commits);
    let on_commit = Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let (journal, opening) = open(disk.path());
    assert_eq!(opening, Opening::Created);
    let intents = journal.intents();
    let writer = journal.into_writer(WriterOptions { broker: true, on_commit }).unwrap();
    writer.alarm(event(1, 0, EventKind::Reject), Some(image(5000)), None).unwrap();
    writer.flush(PATIENCE).unwrap();
    assert_eq!((writer.trouble(), commits.load(Ordering::Relaxed)), (None, 1));

    disk.fill();
    let slowest = (1..=900).map(|n| {
        let event = event(1, n, EventKind::Reject);
        let begin = Instant::now();
        let slot = intents.note(&event).unwrap();
        writer.alarm(event, (n % 3 == 0).then(|| image(5000)), Some(slot)).unwrap();
        begin.elapsed()
    });
    println!("slowest hand-over on a full disk: {:?}", slowest.max().unwrap());
    let begin = Instant::now();
    while writer.trouble().is_none() {
        assert!(begin.elapsed() < PATIENCE, "a full disk is not reported");
        thread::sleep(Duration::from_millis(5));
    }
    let trouble = writer.trouble().unwrap();
    assert_eq!(trouble.code, "disk-full");
    assert!(trouble.text.contains("; free space"), "{}", trouble.text);
    println!("reported after {:?}: {}", begin.elapsed(), trouble.text);
    assert!(writer.flush(Duration::from_millis(300)).is_err());

    disk.free();
    let begin = Instant::now();
    while writer.trouble().is_some() {
        assert!(begin.elapsed() < PATIENCE, "it does not recover");
        thread::sleep(Duration::from_millis(5));
    }
    println!("recovered {:?} after room returned", begin.elapsed());
    writer.flush(PATIENCE).unwrap();
    let events = stored(disk.path(), &Filter::default());
    let ids: Vec<String> = events.iter().map(|stored| stored.event.id.clone()).collect();
    assert_eq!(ids, (0..=900).map(|n| format!("00000001-{n}")).collect::<Vec<_>>());
    for stored in events.iter().filter(|stored| stored.event.part.unwrap().is_multiple_of(3)) {
        let kept = stored.image.as_ref().unwrap();
        assert_eq!(kept.load(disk.path()).unwrap().bytes, image(5000).bytes);
    }
    assert_eq!((writer.drops().images, intents.in_use(), writer.waiting()), (0, 0, 0));
    writer.close(PATIENCE).unwrap();
}

#[test]
fn a_killed_station_starts_again_on_a_full_disk() {
    let Some(disk) = Small::mount(4) else { return };
    let (journal, _) = open(disk.path());
    let intents = journal.intents();
    let writer = journal.into_writer(quiet()).unwrap();
    writer.alarm(event(1, 1, EventKind::Reject), None, None).unwrap();
    writer.close(PATIENCE).unwrap();
    let _slot = intents.note(&event(1, 2, EventKind::Reject)).unwrap();
    drop(intents);
    disk.fill();
    let (journal, opening) = open(disk.path());
    assert_eq!((opening, journal.recovered()), (Opening::Clean, 1));
    drop(journal);
    disk.free();
    drop(open(disk.path()));
    let ids: Vec<String> = stored(disk.path(), &Filter::default()).into_iter().map(|stored| stored.event.id).collect();
    assert_eq!(ids, ["00000001-1", "00000001-2"]);
}

#[test]
fn passes_make_room_for_alarms() {
    let Some(disk) = Small::mount(6) else { return };
    let writer = open(disk.path()).0.into_writer(quiet()).unwrap();
    for n in 0..100 {
        let event = event(1, n, EventKind::Review);
        let image = Some(Original { bytes: vec![n as u8; 20_000], ..Original::default() });
        writer.pass(Pass {
            id: event.id,
            station: event.station,
            time: event.time,
            part: n,
            reading: event.reading.unwrap(),
            shelf: event.shelf,
            config: event.config,
            image,
        });
    }
    writer.flush(PATIENCE).unwrap();
    disk.fill();
    for n in 100..400 {
        writer.alarm(event(1, n, EventKind::Reject), (n < 110).then(|| image(50_000)), None).unwrap();
    }
    writer.flush(PATIENCE).unwrap();
    let reader = Reader::open(disk.path()).unwrap();
    let kinds: Vec<String> = reader.images(&Filter::default()).map(|image| image.unwrap().kind).collect();
    let of = |kind: &str| kinds.iter().filter(|known| *known == kind).count();
    assert_eq!(of("reject"), 10);
    assert!(of("pass") < 100, "no pass went");
    assert_eq!(stored(disk.path(), &Filter::default()).len(), 300);
}
