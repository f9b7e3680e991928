//! The publisher against a real Mosquitto: nothing lost, everything in order, whatever happens to the broker.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mosquitto;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mosquitto::{Broker, Listener, Memory, PATIENCE, Wire, Wiring, config, file, free_port, retained, until};
use rumqttc::PublishOptions;
use shelfwatch::alert::mqtt::{Command, Publisher};
use shelfwatch::capture::monotonic;
use shelfwatch::config::Mqtt;
use shelfwatch::event::{Outbox, Waiting};

const BASE: &str = "shelfwatch/plant/dev1";

fn start(config: &Mqtt, outbox: &Arc<Memory>) -> Publisher {
    start_with(config, outbox, |_| {})
}

fn start_with(config: &Mqtt, outbox: &Arc<Memory>, commands: impl Fn(Command) + Send + Sync + 'static) -> Publisher {
    let stations = ["left".to_owned(), "right".to_owned()];
    let outbox: Arc<Memory> = Arc::clone(outbox);
    Publisher::start(config, "plant", "dev1", &stations, outbox, commands).unwrap()
}

fn connected(publisher: &Publisher) {
    until("connection", || publisher.connected());
}

#[test]
fn availability_and_state_are_retained_and_the_will_speaks_for_the_dead() {
    let Some(broker) = Broker::start() else { return };
    let availability = format!("{BASE}/availability");
    let listener = Listener::new(broker.port, "shelfwatch/#");
    let outbox = Arc::new(Memory::default());

    let publisher = start(&config(broker.port), &outbox);
    publisher.state("left", r#"{"n":1}"#.to_owned());
    publisher.state("nobody", "{}".to_owned());
    listener.wait_for(&availability, "online");
    listener.wait_last(&format!("{BASE}/left/state"), r#"{"n":1}"#);
    publisher.state("left", r#"{"n":2}"#.to_owned());
    publisher.stats("left", r#"{"s":1}"#.to_owned());
    listener.wait_last(&format!("{BASE}/left/state"), r#"{"n":2}"#);
    listener.wait_last(&format!("{BASE}/left/stats"), r#"{"s":1}"#);
    let kept = retained(broker.port, "shelfwatch/#");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(kept[&availability], "online");
    assert_eq!(kept[&format!("{BASE}/left/state")], r#"{"n":2}"#);
    assert_eq!((publisher.trouble(), publisher.counts().connections), (None, 1));

    // As a killed process does: the connection is gone without a word.
    drop(publisher);
    listener.wait_last(&availability, "offline");

    // In order: events first, then the farewell.
    let publisher = start(&config(broker.port), &outbox);
    listener.wait_last(&availability, "online");
    for number in 0..500 {
        outbox.file("left", number);
    }
    publisher.wake();
    assert!(publisher.close(PATIENCE));
    listener.wait_last(&availability, "offline");
    assert_eq!(outbox.left(), 0);
    let heard = listener.heard();
    let last = heard.iter().rposition(|heard| heard.topic.ends_with("/event")).unwrap();
    let farewell = heard.iter().rposition(|heard| heard.topic == availability).unwrap();
    assert!(last < farewell);
    assert_eq!(retained(broker.port, "shelfwatch/#")[&availability], "offline");
}

/// 10,000 events for two stations while the broker is killed again and again and the wire is cut.
fn hard_times(persistence: &str) {
    const EVENTS: i64 = 10_000;
    let Some(mut broker) = Broker::with(&format!("allow_anonymous true\n{persistence}")) else { return };
    let listener = Listener::new(broker.port, "shelfwatch/+/+/+/event");
    // The publisher is let in only when the listener is: what nobody listens to, a broker forgets.
    let wire = Wire::new(broker.port, Wiring::Whole);
    let outbox = Arc::new(Memory::default());
    let publisher = start(&config(wire.port), &outbox);
    connected(&publisher);
    let mut filed = 0;
    for round in 0..6 {
        while filed < EVENTS * (round + 1) / 6 {
            outbox.file(if filed % 3 == 0 { "left" } else { "right" }, filed);
            filed += 1;
            if filed % 10 == 0 {
                publisher.wake();
            }
        }
        // Somewhere in the middle.
        let goal = listener.count() + 200;
        until("some events", || listener.count() >= goal || outbox.left() == 0);
        if round % 2 == 0 {
            // What a broker has acknowledged and not yet told anybody dies with it: it was the broker's by then. So it
            // is killed when it has told all that, but while the publisher still waits for acknowledgements.
            wire.set(Wiring::Cut);
            until("what was acknowledged", || outbox.acknowledged_so_far().is_subset(&numbers(&listener)));
            std::thread::sleep(Duration::from_millis(500));
            broker.kill();
            broker.run();
            listener.wait_ready();
        } else {
            wire.set(Wiring::Cut);
        }
        wire.set(Wiring::Whole);
    }
    publisher.wake();
    until("an empty outbox", || outbox.left() == 0);
    until("every event", || ids(&listener).0.len() >= EVENTS as usize);
    let (ids, heard) = ids(&listener);
    println!("{EVENTS} events, {} connections, {} delivered twice", publisher.counts().connections, heard - ids.len());
    assert_eq!(ids.len(), EVENTS as usize);
    for station in ["left", "right"] {
        let numbers = ids.iter().filter_map(|id| id.strip_prefix(station)?.strip_prefix('-')?.parse::<i64>().ok());
        assert!(numbers.is_sorted(), "{station} is out of order");
    }
    assert!(publisher.counts().connections > 4);
    assert!(outbox.largest_read() <= 64, "{}", outbox.largest_read());
    assert!(publisher.close(PATIENCE));
}

/// The numbers in the ids that were heard.
fn numbers(listener: &Listener) -> BTreeSet<i64> {
    ids(listener).0.iter().filter_map(|id| id.rsplit('-').next()?.parse().ok()).collect()
}

/// Ids as a reader sees them who ignores those it knows, and how many events came.
fn ids(listener: &Listener) -> (Vec<String>, usize) {
    let mut seen = BTreeSet::new();
    let heard = listener.heard();
    let id = |text: &str| text.split('"').nth(3).unwrap().to_owned();
    let first = heard.iter().map(|heard| id(&heard.text)).filter(|id| seen.insert(id.clone())).collect();
    (first, heard.len())
}

#[test]
fn nothing_is_lost_when_a_broker_without_memory_is_killed_again_and_again() {
    hard_times("persistence false\n");
}

#[test]
fn nothing_is_lost_when_a_broker_with_memory_is_killed_again_and_again() {
    hard_times("persistence true\npersistence_location {folder}/\nautosave_interval 1\n");
}

#[test]
fn a_broker_that_was_dead_all_the_time_gets_everything_in_order() {
    let Some(mut broker) = Broker::start() else { return };
    broker.kill();
    let outbox = Arc::new(Memory::default());
    let publisher = start(&config(broker.port), &outbox);
    for number in 0..10_000 {
        outbox.file(if number % 2 == 0 { "left" } else { "right" }, number);
        publisher.wake();
    }
    until("trouble", || publisher.trouble().is_some());
    assert!(publisher.trouble().unwrap().contains("refuses the connection; "), "{:?}", publisher.trouble());
    assert!(!publisher.connected());
    let wire = Wire::new(broker.port, Wiring::Cut);
    drop(publisher);

    // Another process, later.
    broker.run();
    let listener = Listener::new(broker.port, "shelfwatch/+/+/+/event");
    wire.set(Wiring::Whole);
    let publisher = start(&config(wire.port), &outbox);
    until("an empty outbox", || outbox.left() == 0);
    until("every event", || listener.count() >= 10_000);
    let (ids, heard) = ids(&listener);
    assert_eq!((ids.len(), heard), (10_000, 10_000));
    let numbers = ids.iter().map(|id| id.rsplit('-').next().unwrap().parse::<i64>().unwrap());
    assert!(numbers.is_sorted());
    assert_eq!(publisher.counts().events, 10_000);
}

/// 100,000 events that exist only while they are read.
#[derive(Default)]
struct Backlog {
    done: AtomicI64,
    most_open: AtomicI64,
}

impl Backlog {
    const EVENTS: i64 = 100_000;
}

impl Outbox for Backlog {
    fn waiting(&self, after: i64, limit: usize) -> Result<Vec<Waiting>, String> {
        let first = after.max(0) + 1;
        let numbers = first..(first + limit as i64).min(Self::EVENTS + 1);
        self.most_open.fetch_max(numbers.end - 1 - self.done.load(Ordering::SeqCst), Ordering::SeqCst);
        let event = |number| Waiting { number, station: "left".to_owned(), json: format!("{{\"id\":\"{number}\"}}") };
        Ok(numbers.map(event).collect())
    }

    fn acknowledged(&self, numbers: &[i64]) -> Result<(), String> {
        for number in numbers {
            assert_eq!(self.done.fetch_add(1, Ordering::SeqCst) + 1, *number);
        }
        Ok(())
    }
}

#[test]
fn a_backlog_of_100_000_events_is_never_held_in_memory() {
    let Some(broker) = Broker::start() else { return };
    let backlog = Arc::new(Backlog::default());
    let start = Instant::now();
    let left = ["left".to_owned()];
    let publisher = Publisher::start(&config(broker.port), "plant", "dev1", &left, backlog.clone(), |_| {}).unwrap();
    until("an empty outbox", || backlog.done.load(Ordering::SeqCst) == Backlog::EVENTS);
    println!("{} events in {:.1} s", Backlog::EVENTS, start.elapsed().as_secs_f64());
    assert!(backlog.most_open.load(Ordering::SeqCst) <= 128, "{:?}", backlog.most_open);
    assert!(publisher.close(PATIENCE));
}

#[test]
fn a_dead_broker_holds_nobody_up() {
    // It accepts connections and never says a word; and one that refuses.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [mute.local_addr().unwrap().port(), free_port()] {
        let outbox = Arc::new(Memory::default());
        let publisher = start(&config(port), &outbox);
        let start = Instant::now();
        for number in 0..100_000 {
            publisher.wake();
            publisher.state("left", number.to_string());
            publisher.stats("left", number.to_string());
        }
        // Some microseconds each; waiting for anything would take minutes.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        outbox.file("left", 1);
        let start = Instant::now();
        assert!(!publisher.close(Duration::from_millis(300)));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(outbox.left(), 1);
    }
}

#[test]
fn a_connection_that_hangs_is_noticed_even_while_we_send() {
    let Some(broker) = Broker::start() else { return };
    let wire = Wire::new(broker.port, Wiring::Whole);
    let outbox = Arc::new(Memory::default());
    let publisher = start(&config(wire.port), &outbox);
    connected(&publisher);
    wire.set(Wiring::Hung);
    let start = Instant::now();
    let mut number = 0;
    while publisher.connected() {
        assert!(start.elapsed() < PATIENCE);
        outbox.file("left", number);
        publisher.state("left", number.to_string());
        number += 1;
        thread::sleep(Duration::from_millis(100));
    }
    assert!(publisher.trouble().unwrap().contains("silent; "), "{:?}", publisher.trouble());
    println!("noticed after {:.0} s", start.elapsed().as_secs_f64());
    let listener = Listener::new(broker.port, "shelfwatch/+/+/+/event");
    wire.set(Wiring::Cut);
    wire.set(Wiring::Whole);
    until("an empty outbox", || outbox.left() == 0);
    until("every event", || ids(&listener).0.len() >= number as usize);
}

#[test]
fn messages_give_commands_and_retained_ones_are_ignored() {
    let Some(broker) = Broker::start() else { return };
    let listener = Listener::new(broker.port, "shelfwatch/#");
    let send = |topic: &str, options| listener.client.publish(format!("{BASE}/{topic}"), "x", options).unwrap();
    let once = PublishOptions::at_least_once();
    send("left/trigger", once.retained());
    send("left/clear", once.retained());
    listener.wait_for(&format!("{BASE}/left/clear"), "x");

    let commands = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&commands);
    let outbox = Arc::new(Memory::default());
    let publisher = start_with(&config(broker.port), &outbox, move |command| sink.lock().unwrap().push(command));
    listener.wait_for(&format!("{BASE}/availability"), "online");
    let before = monotonic();
    for topic in ["nobody/trigger", "left/else", "left/trigger", "right/clear", "right/trigger"] {
        send(topic, once);
    }
    until("commands", || commands.lock().unwrap().len() >= 3);
    let commands = commands.lock().unwrap();
    assert_eq!(commands.len(), 3);
    assert!(
        matches!(&commands[0], Command::Trigger { station, at } if station == "left" && at.monotonic >= before),
        "{:?}",
        commands[0]
    );
    assert_eq!(commands[1], Command::Clear { station: "right".to_owned() });
    assert!(matches!(&commands[2], Command::Trigger { station, .. } if station == "right"));
    let counts = publisher.counts();
    assert_eq!((counts.commands, counts.retained), (3, 2));
}

#[test]
fn wrong_credentials_are_named_and_right_ones_work_once_they_are_there() {
    let Some(passwords) = mosquitto::find("mosquitto_passwd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = file(folder.path(), "passwd", "dev1:öffne dich\nother:x\n");
    mosquitto::output(std::process::Command::new(passwords).arg("-U").arg(&list));
    let acl = "user dev1\ntopic readwrite shelfwatch/#\nuser other\ntopic write shelfwatch/#\n";
    file(folder.path(), "acl", acl);
    let rules = "allow_anonymous false\npassword_file {folder}/passwd\nacl_file {folder}/acl\npersistence false\n";
    let Some(broker) = Broker::in_folder(folder, rules) else { return };
    let secret = file(broker.folder.path(), "secret", "wrong\n");
    let wrong = Mqtt { user: Some("dev1".to_owned()), password_file: Some(secret.clone()), ..config(broker.port) };
    let outbox = Arc::new(Memory::default());
    for refused in [wrong.clone(), config(broker.port)] {
        let publisher = start(&refused, &outbox);
        until("trouble", || publisher.trouble().is_some());
        let trouble = publisher.trouble().unwrap();
        assert!(trouble.contains("refuses our user or password; "), "{trouble}");
        assert!(!publisher.connected());
    }
    // Only the first line counts, with either line end.
    file(broker.folder.path(), "secret", "öffne dich\r\nsecond line");
    let publisher = start(&wrong, &outbox);
    outbox.file("left", 1);
    publisher.wake();
    until("an empty outbox", || outbox.left() == 0);
    assert_eq!(publisher.trouble(), None);
    drop(publisher);

    // Who may write only is told so, and its events flow.
    file(broker.folder.path(), "secret", "x");
    let other = Mqtt { user: Some("other".to_owned()), ..wrong };
    let publisher = start(&other, &outbox);
    outbox.file("left", 2);
    publisher.wake();
    until("an empty outbox", || outbox.left() == 0);
    assert!(publisher.connected());
    // Mosquitto 2.0 accepts a subscription that its ACL forbids and then sends nothing; others refuse it.
    if let Some(trouble) = publisher.trouble() {
        assert!(trouble.contains("allow it in the broker's ACL"), "{trouble}");
    }
}

#[test]
fn home_assistant_learns_of_stations_and_forgets_them_when_the_option_goes() {
    let Some(broker) = Broker::start() else { return };
    let outbox = Arc::new(Memory::default());
    let on = Mqtt { home_assistant: true, ..config(broker.port) };
    let publisher = start(&on, &outbox);
    until("every entry", || retained(broker.port, "homeassistant/#").len() == 11);
    let entries = retained(broker.port, "homeassistant/#");
    let mut unique = BTreeSet::new();
    for (topic, config) in &entries {
        let config: serde_json::Value = serde_json::from_str(config).unwrap();
        assert!(unique.insert(config["unique_id"].as_str().unwrap().to_owned()), "{topic}");
        assert!(config["state_topic"].as_str().unwrap().starts_with(BASE));
        assert_eq!(config["device"]["name"], "dev1");
        let gate = config["availability_topic"].as_str();
        assert!(gate.is_none_or(|gate| gate == format!("{BASE}/availability")));
        assert_eq!(gate.is_none(), topic.contains("/connection/"));
    }
    let problem = entries.iter().find(|(topic, _)| topic.contains("/left_problem/")).unwrap();
    assert!(problem.1.contains(r#""device_class":"problem""#), "{}", problem.1);
    assert!(publisher.close(PATIENCE));

    // A station that is gone is forgotten, and somebody else's entries are left alone.
    let listener = Listener::new(broker.port, "homeassistant/#");
    let foreign = "homeassistant/sensor/other/thing/config";
    listener.client.publish(foreign, "{}", PublishOptions::at_least_once().retained()).unwrap();
    let left = ["left".to_owned()];
    let publisher = Publisher::start(&on, "plant", "dev1", &left, outbox.clone(), |_| {}).unwrap();
    until("fewer entries", || retained(broker.port, "homeassistant/#").len() == 7);
    assert!(publisher.close(PATIENCE));

    let publisher = start(&config(broker.port), &outbox);
    until("no entries", || retained(broker.port, "homeassistant/#").len() == 1);
    assert_eq!(retained(broker.port, "homeassistant/#").into_keys().collect::<Vec<_>>(), [foreign]);
    drop(publisher);
}

#[test]
fn an_outbox_that_fails_is_named_and_nothing_is_lost() {
    let Some(broker) = Broker::start() else { return };
    let listener = Listener::new(broker.port, "shelfwatch/+/+/+/event");
    let outbox = Arc::new(Memory::default());
    let publisher = start(&config(broker.port), &outbox);
    connected(&publisher);
    for round in 0..3 {
        outbox.break_down(true);
        for number in 0..100 {
            outbox.file("left", round * 100 + number);
            publisher.wake();
        }
        until("trouble", || publisher.trouble().is_some_and(|trouble| trouble.contains("disk on fire")));
        assert!(publisher.connected());
        outbox.read_only(true);
        outbox.break_down(false);
        until("trouble", || publisher.trouble().is_some_and(|trouble| trouble.contains("cannot be written")));
        outbox.read_only(false);
        until("an empty outbox", || outbox.left() == 0);
    }
    until("no trouble", || publisher.trouble().is_none());
    until("every event", || ids(&listener).0.len() == 300);
    assert_eq!(listener.count(), 300);
}

#[test]
fn a_broker_that_talks_nonsense_is_an_error_and_no_more() {
    let nonsense = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nonsense.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in nonsense.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 512];
            drop(stream.read(&mut bytes));
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let outbox = Arc::new(Memory::default());
    let publisher = start(&config(port), &outbox);
    until("trouble", || publisher.trouble().is_some());
    assert!(publisher.trouble().unwrap().contains("no MQTT"), "{:?}", publisher.trouble());
    let unknown = Mqtt { host: "no-such-host.invalid".to_owned(), ..config(port) };
    let publisher = start(&unknown, &outbox);
    until("trouble", || publisher.trouble().is_some());
    let trouble = publisher.trouble().unwrap();
    assert!(trouble.contains("no-such-host.invalid") && trouble.contains("; "), "{trouble}");
}
