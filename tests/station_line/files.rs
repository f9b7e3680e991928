//! Files: one verdict each, every alarm kept and told once, none lost or doubled by an end in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use shelfwatch::event::{Event, EventKind};
use shelfwatch::journal::{Filter, Reader, archive_folder};

use crate::binary::{argument, shelfwatch};
use crate::mosquitto::{Broker, Listener, until};
use crate::station::{self, Line, good, shelf, strange};

const TOPIC: &str = "shelfwatch/plant/line/cap/event";

/// Events of a topic by id; a second delivery must be the same text.
fn heard(listener: &Listener, topic: &str) -> BTreeMap<String, Event> {
    let mut texts = BTreeMap::new();
    for text in listener.on(topic) {
        let event: Event = serde_json::from_str(&text).unwrap();
        let before = texts.insert(event.id.clone(), (text.clone(), event));
        assert!(before.is_none_or(|(before, _)| before == text), "another event with the same id: {text}");
    }
    texts.into_iter().map(|(id, (_, event))| (id, event)).collect()
}

#[test]
fn every_file_gets_one_verdict_and_every_alarm_is_kept_and_told_once() {
    let Some(broker) = Broker::start() else { return };
    let listener = Listener::new(broker.port, "shelfwatch/#");
    let (good, strange) = (good(24), strange(16));
    let mut line = Line::new();
    let mqtt = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[journal]\nkeep_every = 4\n", broker.port);
    line.configure(&line.folder_station("cap"), &mqtt);
    line.start_ready();
    for (i, part) in good.iter().enumerate() {
        line.put("cap", &format!("good-{i:02}.png"), &part.png);
        if let Some(part) = strange.get(i) {
            line.put("cap", &format!("strange-{i:02}.png"), &part.png);
        }
    }
    line.until("every file is moved", |line| line.done("cap").len() == 40);
    let whole =
        |part: &station::Part, name: String| assert!(fs::read(line.at("cap/done").join(name)).unwrap() == part.png);
    good.iter().enumerate().for_each(|(i, part)| whole(part, format!("good-{i:02}.png")));
    strange.iter().enumerate().for_each(|(i, part)| whole(part, format!("strange-{i:02}.png")));
    line.until("every verdict is counted", |line| line.parts("cap").iter().sum::<u64>() >= 40);
    assert_eq!(line.parts("cap"), [24, 0, 16, 0]);
    assert!(station::names(&line.at("cap/in")).is_empty());

    until("every reject is heard", || {
        heard(&listener, TOPIC).values().filter(|e| e.kind == EventKind::Reject).count() >= 16
    });
    assert_eq!(line.stop(), 0);
    until("the end is heard", || heard(&listener, TOPIC).values().any(|event| event.kind == EventKind::Stopped));
    listener.wait_last("shelfwatch/plant/line/availability", "offline");
    let stored: BTreeMap<String, Event> =
        line.events().into_iter().map(|stored| (stored.event.id.clone(), stored.event)).collect();
    assert_eq!(heard(&listener, TOPIC), stored, "the journal and the broker tell the same");

    // Each stranger once: by the bytes of its image and by its score.
    let reader = Reader::open(line.state()).unwrap();
    let rejects = Filter { kinds: vec![EventKind::Reject], ..Filter::default() };
    let mut images: BTreeSet<Vec<u8>> = BTreeSet::new();
    for stored in reader.events(&rejects).map(Result::unwrap) {
        let bytes = stored.image.unwrap().load(line.state()).unwrap().bytes;
        let part = strange.iter().find(|part| part.png == bytes).expect("the bytes of a strange part");
        assert_eq!(stored.event.reading.unwrap().score.to_bits(), part.score.to_bits());
        assert!(stored.event.signalled && images.insert(bytes), "twice");
    }
    assert_eq!(images.len(), 16);
    let counts = reader.counts(None, None).unwrap();
    let (station, counts) = &counts[0];
    assert_eq!((station.as_str(), counts.inspected, counts.passed, counts.rejected), ("cap", 40, 24, 16));

    let replay = shelfwatch(["replay", "--state", argument(line.state()), "--shelf", argument(shelf())]);
    println!("{}", replay.err);
    assert_eq!(replay.code, 0, "{}{}", replay.out, replay.err);
    // Every fourth of 24 passes and all 16 rejects.
    assert!(replay.err.contains("22 images: 22 equal"), "{}", replay.err);

    // An image that was altered since is noticed.
    let first = reader.images(&rejects).next().unwrap().unwrap();
    fs::write(archive_folder(line.state()).join(&first.path), &good[0].png).unwrap();
    let replay = shelfwatch(["replay", "--state", argument(line.state()), "--shelf", argument(shelf())]);
    assert_eq!(replay.code, 1, "{}{}", replay.out, replay.err);
    assert!(replay.err.contains("1 differs"), "{}", replay.err);
}

#[test]
fn two_stations_share_a_shelf_and_keep_their_parts_apart() {
    let (good, strange) = (good(20), strange(10));
    let mut line = Line::new();
    line.configure(&(line.folder_station("cap") + &line.folder_station("lid")), "");
    line.start_ready();
    for (i, part) in good.iter().enumerate() {
        line.put("cap", &format!("{i}.png"), &part.png);
    }
    for (i, part) in strange.iter().enumerate() {
        line.put("lid", &format!("{i}.png"), &part.png);
    }
    line.until("every file is judged", |line| line.parts("cap")[0] >= 20 && line.parts("lid")[2] >= 10);
    line.until("every file is moved", |line| line.done("cap").len() == 20 && line.done("lid").len() == 10);
    assert_eq!((line.parts("cap"), line.parts("lid")), ([20, 0, 0, 0], [0, 0, 10, 0]));
    assert_eq!(line.stop(), 0);
    assert_eq!(line.log().matches("proven").count(), 1, "the shelf is read once");
    let rejects = line.events().into_iter().filter(|stored| stored.event.kind == EventKind::Reject);
    assert!(rejects.map(|stored| stored.event.station).eq(vec!["lid".to_owned(); 10]));
}

#[test]
fn an_end_in_between_loses_and_doubles_nothing() {
    let (good, strange) = (good(8), strange(8));
    let mut line = Line::new();
    line.configure(&line.folder_station("cap"), "");
    // A hundred of each: bytes behind the end of a PNG make files that differ.
    for i in 0..100 {
        for (kind, part) in [("good", &good[i % 8]), ("strange", &strange[i % 8])] {
            line.put("cap", &format!("{i:03}-{kind}.png"), &part.png);
        }
    }
    let mut judged = [0; 4];
    for enough in [20, 90, 200] {
        line.start();
        line.until("some files are moved", |line| line.done("cap").len() >= enough);
        assert_eq!(line.stop(), 0);
        assert_eq!(line.done("cap").len() + station::names(&line.at("cap/in")).len(), 200);
        let rejects = line.count(EventKind::Reject, None);
        let moved = line.done("cap").iter().filter(|name| name.contains("strange")).count();
        assert_eq!(rejects, moved, "what was judged is moved and kept, what was not stays");
        let counts = Reader::open(line.state()).unwrap().counts(None, None).unwrap();
        judged = [counts[0].1.inspected, counts[0].1.passed, counts[0].1.rejected, counts[0].1.faults];
        assert_eq!(judged[0], line.done("cap").len() as u64);
    }
    assert_eq!(judged, [200, 100, 100, 0]);
    assert_eq!((line.count(EventKind::Started, None), line.count(EventKind::Stopped, None)), (3, 3));
}
