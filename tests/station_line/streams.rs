//! Streams: raw frames and Motion JPEG from a program, Motion JPEG over HTTP, and images that messages ask for.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rumqttc::PublishOptions;
use shelfwatch::event::EventKind;
use shelfwatch::journal::{Filter, Reader};
use shelfwatch_core::Judgement;

use crate::mosquitto::{Broker, Listener};
use crate::station::{Line, PATIENCE, good, jpeg, judge, station, strange};

const DROPPED: &str = "shelfwatch_frames_dropped_total{station=\"cap\"}";
/// Long enough that a stream which has told everything is not taken for a lost one.
const STILL: &str = "timeout_ms = 600000\n";

/// JPEGs of good and strange parts in turn, for each its score and whether it is strange.
fn pictures(each: usize) -> Vec<(Vec<u8>, f32, bool)> {
    let of = |parts: Vec<crate::station::Part>, wanted: Judgement| {
        let judged = parts.into_iter().map(|part| jpeg(&part)).map(move |file| (judge(&file), file));
        judged
            .filter(move |((judgement, _), _)| *judgement == wanted)
            .map(move |((_, score), file)| (file, score, wanted == Judgement::Reject))
            .take(each)
    };
    // Some change sides by the losses of JPEG.
    let pairs = of(good(2 * each), Judgement::Pass).zip(of(strange(2 * each), Judgement::Reject));
    let pictures: Vec<_> = pairs.flat_map(|(good, strange)| [good, strange]).collect();
    assert_eq!(pictures.len(), 2 * each);
    pictures
}

/// A program that writes the files of a folder one after the other, and then nothing more.
fn program(folder: &Path) -> String {
    let script = format!("for f in {}/*; do cat $f; sleep 0.1; done; sleep 1000", folder.display());
    format!("[station.source.command]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n")
}

fn write_all(folder: &Path, files: impl Iterator<Item = Vec<u8>>) {
    fs::create_dir_all(folder).unwrap();
    for (i, file) in files.enumerate() {
        fs::write(folder.join(format!("{i:03}")), file).unwrap();
    }
}

/// Waits until all are judged or dropped, and checks each alarm by bytes and score.
fn check(line: &mut Line, pictures: &[(Vec<u8>, f32, bool)], sent: u64) {
    line.until("every image is judged", |line| line.parts("cap").iter().sum::<u64>() + line.metric(DROPPED) >= sent);
    let (dropped, [passed, review, rejected, failed]) = (line.metric(DROPPED), line.parts("cap"));
    assert_eq!(line.stop(), 0);
    println!("{passed} passed, {rejected} rejected, {dropped} dropped");
    assert_eq!((passed + rejected + dropped, review, failed), (sent, 0, 0));
    // A tenth of a second between two: only a machine that stands still drops one.
    assert!(dropped < sent / 4, "{dropped} dropped");
    let reader = Reader::open(line.state()).unwrap();
    let rejects = Filter { kinds: vec![EventKind::Reject], ..Filter::default() };
    let mut seen = Vec::new();
    for stored in reader.events(&rejects).map(Result::unwrap) {
        let bytes = stored.image.unwrap().load(line.state()).unwrap().bytes;
        let (_, score, is_strange) = pictures.iter().find(|(known, ..)| *known == bytes).expect("bytes that were sent");
        assert!(*is_strange && !seen.contains(&bytes));
        assert_eq!(stored.event.reading.unwrap().score.to_bits(), score.to_bits());
        seen.push(bytes);
    }
    assert_eq!(seen.len() as u64, rejected);
}

#[test]
fn a_program_that_writes_motion_jpeg() {
    let pictures = pictures(12);
    let mut line = Line::new();
    write_all(&line.at("frames"), pictures.iter().map(|(file, ..)| file.clone()));
    let source = program(&line.at("frames")) + "frames = \"mjpeg\"\n";
    line.configure(&station("cap", &format!("{STILL}{source}")), "");
    line.start_ready();
    check(&mut line, &pictures, 24);
}

#[test]
fn a_program_that_writes_raw_frames() {
    let pairs = good(12).into_iter().zip(strange(12));
    let pictures: Vec<_> = pairs
        .flat_map(|(good, strange)| [(good, false), (strange, true)])
        .map(|(part, is_strange)| (part.frame.rgb().to_vec(), part.score, is_strange))
        .collect();
    let mut line = Line::new();
    write_all(&line.at("frames"), pictures.iter().map(|(file, ..)| file.clone()));
    let raw = "frames = { raw = { format = \"rgb24\", width = 96, height = 96 } }\n";
    let source = program(&line.at("frames")) + raw;
    line.configure(&station("cap", &format!("{STILL}{source}")), "");
    line.start_ready();
    check(&mut line, &pictures, 24);
}

#[test]
fn a_network_camera_with_motion_jpeg() {
    let pictures = pictures(8);
    let files: Vec<Vec<u8>> = pictures.iter().map(|(file, ..)| file.clone()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4096];
        let _request = stream.read(&mut asked).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=part\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for file in files {
            let head = format!("--part\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", file.len());
            stream.write_all(&[head.as_bytes(), &file, b"\r\n"].concat()).unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        thread::sleep(PATIENCE);
    });
    let mut line = Line::new();
    line.configure(&station("cap", &format!("{STILL}source.http.url = \"http://{address}/video\"\n")), "");
    line.start_ready();
    check(&mut line, &pictures, 16);
}

/// One image a message, though many more come; and a message that no image follows is a part that nobody has seen.
#[test]
fn messages_ask_for_images() {
    let Some(broker) = Broker::start() else { return };
    let listener = Listener::new(broker.port, "shelfwatch/#");
    let mut line = Line::new();
    write_all(&line.at("frames"), strange(8).iter().map(jpeg));
    // Until the file `still` is there, image after image; then none.
    let (frames, still) = (line.at("frames"), line.at("still"));
    let (frames, still) = (frames.display(), still.display());
    let script = format!("while :; do for f in {frames}/*; do [ -e {still} ] || cat $f; sleep 0.05; done; done");
    let source = format!("command = [\"sh\", \"-c\", \"{script}\"]\nframes = \"mjpeg\"\n");
    let station = station("cap", &format!("timeout_ms = 3000\n[station.source.command]\n{source}"));
    let mqtt = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n", broker.port);
    line.configure(&format!("{station}[station.trigger.mqtt]\n[station.health]\nfrozen_after = 0\n"), &mqtt);
    line.start_ready();
    line.until("the broker", |line| line.metric("shelfwatch_mqtt_connected") == 1);
    let ask =
        || listener.client.publish("shelfwatch/plant/line/cap/trigger", "", PublishOptions::at_least_once()).unwrap();
    for asked in 1..=10 {
        ask();
        line.until("the image asked for is judged", |line| line.parts("cap").iter().sum::<u64>() == asked);
    }
    // Some dozen images more come meanwhile, for which nobody asks.
    thread::sleep(Duration::from_secs(1));
    let [passed, review, rejected, failed] = line.parts("cap");
    assert_eq!((passed + review + rejected, failed), (10, 0));
    assert!(rejected >= 8, "most are strange as JPEG, too: {rejected}");

    fs::write(line.at("still"), "").unwrap();
    thread::sleep(Duration::from_millis(500));
    ask();
    line.until("the part that nobody saw", |line| line.parts("cap")[3] == 1);
    line.until("it is red", |line| line.is_red("no-image") || line.is_red("camera-lost"));
    fs::remove_file(line.at("still")).unwrap();
    line.until("images come again", |line| {
        ask();
        thread::sleep(Duration::from_millis(200));
        line.is_green()
    });
    assert_eq!(line.stop(), 0);
    let unseen = line.events().into_iter().find(|stored| stored.event.part == Some(11)).unwrap().event;
    assert_eq!((unseen.kind, unseen.signalled, unseen.reading.is_none()), (EventKind::Fault, true, true));
}
