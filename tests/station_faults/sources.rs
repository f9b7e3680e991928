//! Sources, shelves and brokers that are not there: said, waited for, taken up again.

use std::fs;

use shelfwatch::event::EventKind;

use crate::mosquitto::{Broker, Listener, find, free_port, until};
use crate::station::{Line, good, jpeg, shelf, station, strange};

const LOST: Option<&str> = Some("camera-lost");
const REFUSED: Option<&str> = Some("shelf-refused");

#[test]
fn a_program_that_dies_is_started_again() {
    let mut line = Line::new();
    fs::create_dir(line.at("frames")).unwrap();
    for (i, part) in good(8).iter().enumerate() {
        fs::write(line.at("frames").join(format!("{i}.jpg")), jpeg(part)).unwrap();
    }
    let (frames, alive) = (line.at("frames"), line.at("alive"));
    let (frames, alive_) = (frames.display(), alive.display());
    let script = format!(
        "while [ -e {alive_} ]; do for f in {frames}/*; do cat $f; sleep 0.05; done; done; echo no lens >&2; exit 3"
    );
    let source = format!("[station.source.command]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nframes = \"mjpeg\"\n");
    line.configure(&station("cap", &format!("timeout_ms = 20000\n{source}")), "");
    fs::write(&alive, "").unwrap();
    line.start_ready();
    for round in 1..=2 {
        let before = line.parts("cap")[0];
        line.until("parts pass", |line| line.parts("cap")[0] > before);
        fs::remove_file(&alive).unwrap();
        line.until("it is lost", |line| line.is_red("camera-lost"));
        let (_, health) = line.health().unwrap();
        let text = health["stations"][0]["fault"]["text"].as_str().unwrap().to_owned();
        assert!(text.contains("no lens") && text.contains('3'), "{text}");
        let before = line.parts("cap");
        fs::write(&alive, "").unwrap();
        line.until("it is back", Line::is_green);
        line.until("parts pass again", |line| line.parts("cap")[0] > before[0]);
        assert_eq!(line.parts("cap")[3], 0);
        assert_eq!(line.count(EventKind::Fault, LOST), round);
    }
    assert_eq!(line.stop(), 0);
    assert_eq!(line.count(EventKind::Recovered, LOST), 2);
}

#[test]
fn a_folder_may_be_missing_at_the_start_and_go_in_between() {
    let good = good(2);
    let mut line = Line::new();
    line.configure(&line.folder_station("cap"), "");
    let (there, away) = (line.at("cap/in"), line.at("away"));
    fs::rename(&there, &away).unwrap();
    line.start();
    for (round, part) in good.iter().enumerate() {
        line.until("the folder is lost", |line| line.is_red("camera-lost"));
        fs::rename(&away, &there).unwrap();
        line.until("it is back", Line::is_green);
        line.put("cap", &format!("{round}.png"), &part.png);
        line.until("the part is judged", |line| line.parts("cap") == [round as u64 + 1, 0, 0, 0]);
        line.until("it is moved", |line| line.done("cap").len() == round + 1);
        fs::rename(&there, &away).unwrap();
    }
    line.until("the folder is lost", |line| line.is_red("camera-lost"));
    assert_eq!(line.stop(), 0);
    assert_eq!((line.count(EventKind::Fault, LOST), line.count(EventKind::Recovered, LOST)), (3, 2));
}

#[test]
fn a_station_waits_for_a_good_shelf_and_the_others_go_on() {
    let (good, strange) = (good(3), strange(3));
    let mut line = Line::new();
    let own = line.at("own.shelf");
    let cap = line.folder_station("cap").replace(shelf().to_str().unwrap(), own.to_str().unwrap());
    line.configure(&(cap + &line.folder_station("lid")), "");
    fs::write(&own, vec![7; 100_000]).unwrap();
    line.start();
    line.until("the shelf is refused", |line| line.is_red("shelf-refused"));
    line.put("cap", "good.png", &good[0].png);
    line.put("lid", "strange.png", &strange[0].png);
    line.until("the other station judges", |line| line.parts("lid") == [0, 0, 1, 0]);

    // Another bad one does not help: bits of the weights differ, so the golden images get other scores, or its sum.
    let whole = fs::read(shelf()).unwrap();
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 0x40;
    fs::write(&own, &bent).unwrap();
    line.until("the second one is refused too", |line| line.count(EventKind::Fault, REFUSED) == 2);
    assert!(line.is_red("shelf-refused"));
    assert_eq!(line.parts("cap"), [0; 4], "nothing is judged without a proven shelf");
    assert!(line.done("cap").is_empty());

    fs::write(&own, &whole).unwrap();
    line.until("the good one is taken up", Line::is_green);
    line.until("what waited is judged", |line| line.parts("cap") == [1, 0, 0, 0]);
    line.put("lid", "strange-1.png", &strange[1].png);
    line.until("the other station goes on", |line| line.parts("lid") == [0, 0, 2, 0]);
    assert_eq!(line.stop(), 0);
    assert_eq!(line.count(EventKind::Recovered, REFUSED), 1);
    let of_cap = line.events().into_iter().filter(|stored| stored.event.station == "cap").collect::<Vec<_>>();
    assert!(of_cap.iter().any(|stored| stored.event.kind == EventKind::Started));
}

#[test]
fn a_broker_that_is_dead_from_the_start_is_told_later() {
    if find("mosquitto").is_none() {
        return;
    }
    let strange = strange(5);
    let port = free_port();
    let mut line = Line::new();
    line.configure(&line.folder_station("cap"), &format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n"));
    line.start_ready();
    for (i, part) in strange.iter().enumerate() {
        line.put("cap", &format!("{i}.png"), &part.png);
    }
    line.until("all are judged without a broker", |line| line.parts("cap") == [0, 0, 5, 0]);
    line.until("they wait", |line| line.metric("shelfwatch_outbox_waiting") >= 6);
    assert!(line.is_green(), "a broker is not needed to judge");
    assert_eq!((line.metric("shelfwatch_mqtt_connected"), line.metric("shelfwatch_mqtt_trouble")), (0, 1));

    let mut broker = Broker::start().unwrap();
    broker.kill();
    broker.port = port;
    broker.configure("allow_anonymous true\npersistence false\n");
    broker.run();
    let listener = Listener::new(port, "shelfwatch/#");
    let topic = "shelfwatch/plant/line/cap/event";
    // The station may connect before the listener does; what the broker has then is not told again. All that is
    // certain is that the outbox empties and the state is there.
    line.until("nothing waits any more", |line| line.metric("shelfwatch_outbox_waiting") == 0);
    listener.wait_last("shelfwatch/plant/line/availability", "online");
    let before = listener.on(topic).len();
    line.put("cap", "again.png", &strange[0].png);
    until("the next one is heard at once", || listener.on(topic).len() > before);
    assert_eq!(line.stop(), 0);
}
