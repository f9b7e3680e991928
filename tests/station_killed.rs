//! Nothing signalled is lost: ten thousand events without a broker, and a daemon that is killed at random moments.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
mod mosquitto;
mod station;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use shelfwatch::config::JournalOptions;
use shelfwatch::event::{Event, EventKind};
use shelfwatch::frame::Frame;
use shelfwatch::image_file::encode_png;
use shelfwatch::journal::{Filter, Journal, Opening, Reader, archive_folder};
use shelfwatch_core::Judgement;

use mosquitto::{Broker, Listener, Wire, Wiring, until};
use station::{Line, Part, judge, names, station, strange};

/// Numbers that differ from each other but not from run to run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Events of both stations together, at the least.
const EVENTS: u64 = 10_000;
const SIDE: u32 = 32;

/// Frames of coloured noise, each rejected.
fn noise(count: u64) -> Vec<u8> {
    let mut dice = Dice(5);
    let frames = (0..count).map(|_| {
        let rgb: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| dice.below(256) as u8).collect();
        let png = encode_png(&Frame::new(SIDE, SIDE, rgb.clone()).unwrap()).unwrap();
        assert_eq!(judge(&png).0, Judgement::Reject);
        rgb
    });
    frames.flatten().collect()
}

#[test]
fn ten_thousand_events_wait_for_a_dead_broker_and_arrive_in_order() {
    let Some(mut broker) = Broker::start() else { return };
    let wire = Wire::new(broker.port, Wiring::Whole);
    let mut line = Line::new();
    fs::write(line.at("frames"), noise(8)).unwrap();
    let (frames, go) = (line.at("frames"), line.at("go"));
    let script = format!("while :; do [ -e {} ] && cat {} || sleep 0.05; done", go.display(), frames.display());
    let raw = format!("frames = {{ raw = {{ format = \"rgb24\", width = {SIDE}, height = {SIDE} }} }}");
    let source = format!("[station.source.command]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{raw}\n");
    let camera = |name| station(name, &format!("timeout_ms = 600000\n{source}[station.health]\nfrozen_after = 0\n"));
    let more = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[journal]\nimage_megabytes = 5\n", wire.port);
    line.configure(&(camera("cap") + &camera("lid")), &more);
    line.start_ready();
    line.until("the broker is there", |line| line.metric("shelfwatch_mqtt_connected") == 1);
    line.until("nothing waits", |line| line.metric("shelfwatch_outbox_waiting") == 0);

    wire.set(Wiring::Cut);
    broker.kill();
    let begin = Instant::now();
    fs::write(&go, "").unwrap();
    let rejected = |line: &Line| line.parts("cap")[2] + line.parts("lid")[2];
    // A slow machine gets its time, one that stands still does not.
    for step in 1..=10 {
        line.until("a thousand rejects more", |line| rejected(line) >= step * EVENTS / 10);
    }
    let seconds = begin.elapsed().as_secs_f64();
    fs::remove_file(&go).unwrap();
    line.until("the last frame is judged", |line| {
        let before = rejected(line);
        thread::sleep(Duration::from_millis(500));
        rejected(line) == before
    });
    let rejected = rejected(&line);
    println!("{rejected} rejects in {seconds:.1} s: {:.0} a second", rejected as f64 / seconds);
    println!("latency of cap: {:.1} ms on average", latency(&line));
    assert_eq!((line.parts("cap")[0], line.parts("lid")[0]), (0, 0));
    line.until("all wait", |line| line.metric("shelfwatch_outbox_waiting") >= rejected);
    for station in ["cap", "lid"] {
        let lost = format!("shelfwatch_faults_total{{station=\"{station}\",code=\"alarms-lost\"}}");
        // A disk that stands still for seconds fills the slots of the notes; that must not come with every alarm.
        let times = line.metric(&lost);
        println!("{station}: the notes were full {times} times");
        assert!(times < 20, "{times}");
    }

    broker.run();
    let listener = Listener::new(broker.port, "shelfwatch/#");
    let begin = Instant::now();
    wire.set(Wiring::Whole);
    // Another break in the middle, after which some are told twice.
    until("the first are heard", || listener.count() as u64 > EVENTS / 3);
    wire.set(Wiring::Cut);
    wire.set(Wiring::Whole);
    line.until("nothing waits any more", |line| line.metric("shelfwatch_outbox_waiting") == 0);
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(line.stop(), 0);
    listener.wait_last("shelfwatch/plant/line/availability", "offline");

    let mut twice = 0;
    for station in ["cap", "lid"] {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let mut heard: Vec<Event> = Vec::new();
        for text in listener.on(&format!("shelfwatch/plant/line/{station}/event")) {
            let event: Event = serde_json::from_str(&text).unwrap();
            match texts.insert(event.id.clone(), text.clone()) {
                None => heard.push(event),
                Some(before) => {
                    assert_eq!(before, text, "another event with the same id");
                    twice += 1;
                }
            }
        }
        let kept: Vec<Event> = line.events().into_iter().map(|stored| stored.event).collect();
        // The first of all, `started`, was told before anybody listened.
        let kept = kept.into_iter().filter(|event| event.station == station && event.kind != EventKind::Started);
        let ids = |events: Vec<Event>| events.into_iter().map(|event| event.id).collect::<Vec<_>>();
        let (parts, heard) = (heard.iter().filter_map(|event| event.part).collect::<Vec<_>>(), ids(heard));
        assert!(parts.is_sorted(), "{station}: out of order");
        assert!(heard == ids(kept.collect()), "{station}: what is heard is not what is kept");
    }
    println!("told in {seconds:.1} s, {twice} of them twice");
    assert!(line.events().iter().filter(|stored| stored.event.kind == EventKind::Reject).count() as u64 == rejected);
    // Of far more images than the budget allows, some went before they were written.
    let rows = Reader::open(line.state()).unwrap().images(&Filter::default()).count();
    assert_eq!(files(&archive_folder(line.state())), rows, "every file of the archive is known");
}

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Mean time from capture to verdict, in milliseconds.
fn latency(line: &Line) -> f64 {
    let (_, page) = line.page("/metrics").unwrap();
    let value = |name: &str| -> f64 {
        let name = format!("shelfwatch_latency_seconds_{name}{{station=\"cap\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    1000.0 * value("sum") / value("count")
}

const SEED: u64 = 20_261_124;
/// Daemons beside each other, since starting takes most of the time; and how often each is killed.
const LANES: u64 = 4;
const KILLS: usize = 50;
/// Files that lie ready at each start.
const READY: usize = 60;

#[test]
fn a_killed_daemon_owes_every_alarm_that_it_signalled() {
    println!("seed {SEED}");
    let parts = strange(20);
    let begin = Instant::now();
    let parts = &parts;
    let told: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|lane| scope.spawn(move || one_lane(lane, parts))).collect();
        lanes.into_iter().map(|lane| lane.join().expect("the lane's own message stands above")).collect()
    });
    for lane in &told {
        println!("{lane}");
    }
    println!("{} kills in {:.0} s", LANES as usize * KILLS, begin.elapsed().as_secs_f64());
}

fn one_lane(lane: u64, parts: &[Part]) -> String {
    let mut dice = Dice(SEED + lane);
    let mut line = Line::new();
    line.configure(&line.folder_station("cap"), "");
    let (mut put, mut working) = (0, 0);
    let mut before = 0;
    for kill in 1..=KILLS {
        for _ in names(&line.at("cap/in")).len()..READY {
            line.put("cap", &format!("{put:06}.png"), &parts[put % parts.len()].png);
            put += 1;
        }
        line.start();
        // Half of the moments count from the start, half from the first file moved.
        if dice.below(2) == 0 {
            line.until("it works", |line| line.done("cap").len() > before);
            thread::sleep(Duration::from_micros(dice.below(150_000)));
        } else {
            thread::sleep(Duration::from_micros(dice.below(1_000_000)));
        }
        line.kill();
        let moved = line.done("cap").len();
        working += usize::from(moved > before);
        before = moved;
        // Every other time the daemon itself makes events of what it finds noted.
        if kill % 2 == 0 {
            let (journal, opening) = Journal::open(line.state(), &JournalOptions::default()).unwrap();
            assert!(matches!(opening, Opening::Clean | Opening::Created), "lane {lane}, kill {kill}: {opening:?}");
            drop(journal);
            check(&line, moved, kill);
        }
    }
    line.start_ready();
    assert_eq!(line.stop(), 0);
    let (alarms, recovered) = check(&line, line.done("cap").len(), KILLS);
    assert!(!line.log().contains("was damaged"), "the journal opens clean each time");
    assert!(working > KILLS / 4, "lane {lane}: only {working} kills hit a daemon at work");
    format!("lane {lane}: {working} of {KILLS} kills at work, {alarms} alarms, {recovered} of them from notes")
}

/// Every moved file has its alarm, and no kill made more than one alarm for a file that was not moved.
fn check(line: &Line, moved: usize, kills: usize) -> (usize, usize) {
    let events = line.events();
    let alarms: Vec<&Event> =
        events.iter().map(|stored| &stored.event).filter(|event| event.kind == EventKind::Reject).collect();
    assert!(alarms.len() >= moved, "{} alarms of {moved} parts that were signalled", alarms.len());
    assert!(alarms.len() <= moved + kills, "{} alarms of {moved} parts and {kills} kills", alarms.len());
    let ids: BTreeSet<&str> = events.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len(), "an id is used twice");
    (alarms.len(), alarms.iter().filter(|event| event.recovered).count())
}
