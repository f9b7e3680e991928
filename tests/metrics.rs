//! `/metrics` and `/healthz` through a plain socket; the page is parsed as Prometheus does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shelfwatch::event::EventFault;
use shelfwatch::status::{BrokerSnapshot, Phase, Shown, Snapshot, StationSnapshot};
use shelfwatch::web::{WebError, serve};

#[derive(Default)]
struct Fake(Mutex<Snapshot>);

impl Shown for Fake {
    fn snapshot(&self) -> Snapshot {
        self.0.lock().unwrap().clone()
    }
}

const LOOPBACK: &str = "127.0.0.1:0";

/// Status, headers and body.
fn ask(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

fn snapshot() -> Snapshot {
    let mut left = StationSnapshot { station: "left \"1\"\\".to_owned(), phase: Phase::Ready, ..Default::default() };
    (left.passed, left.review, left.rejected, left.failed) = (990, 5, 4, 1);
    left.faults.insert("camera-lost".to_owned(), 2);
    left.scores = vec![(0.05, -12.5), (0.5, 3.25)];
    for ms in [0.5, 12.0, 33.0, 7000.0] {
        left.latency.add(ms);
    }
    let right = StationSnapshot { station: "right".to_owned(), phase: Phase::Ready, queue: 3, ..Default::default() };
    Snapshot {
        version: "1.2.3".to_owned(),
        started: 1.5e9,
        stations: vec![left, right],
        run_ok: Some(true),
        broker: Some(BrokerSnapshot { connected: true, connections: 7, trouble: None }),
        outbox_waiting: 42,
        journal_trouble: None,
    }
}

#[test]
fn every_line_of_the_metrics_is_well_formed_and_says_what_the_snapshot_says() {
    let server = serve(LOOPBACK.parse().unwrap(), Arc::new(Fake(Mutex::new(snapshot())))).unwrap();
    let (status, head, body) = get(server.address(), "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let page = parse(&body);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        *page.get(&(name.to_owned(), labels)).unwrap_or_else(|| panic!("no {name} in\n{body}"))
    };
    let left = ("station", "left \"1\"\\");
    for (verdict, count) in [("pass", 990.0), ("review", 5.0), ("reject", 4.0), ("fault", 1.0)] {
        close(value("shelfwatch_parts_total", &[left, ("verdict", verdict)]), count);
    }
    close(value("shelfwatch_faults_total", &[left, ("code", "camera-lost")]), 2.0);
    close(value("shelfwatch_queue_depth", &[("station", "right")]), 3.0);
    close(value("shelfwatch_score", &[left, ("quantile", "0.05")]), -12.5);
    close(value("shelfwatch_latency_seconds_bucket", &[left, ("le", "0.02")]), 2.0);
    close(value("shelfwatch_latency_seconds_bucket", &[left, ("le", "+Inf")]), 4.0);
    close(value("shelfwatch_latency_seconds_sum", &[left]), 7.0455);
    close(value("shelfwatch_latency_seconds_count", &[left]), 4.0);
    close(value("shelfwatch_run_ok", &[]), 1.0);
    close(value("shelfwatch_mqtt_connected", &[]), 1.0);
    close(value("shelfwatch_outbox_waiting", &[]), 42.0);
    close(value("shelfwatch_build_info", &[("version", "1.2.3")]), 1.0);
    close(value("shelfwatch_ready", &[]), 1.0);
}

fn close(value: f64, wanted: f64) {
    assert!((value - wanted).abs() < 1e-9, "{value} is not {wanted}");
}

/// Name and labels to value. Refuses what Prometheus refuses, and samples without a type, twice, or apart.
fn parse(body: &str) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    assert!(body.ends_with('\n'));
    let mut samples = BTreeMap::new();
    let (mut typed, mut current) = (BTreeSet::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if what == "HELP" {
                assert!(typed.insert(name.to_owned()), "{name} is described twice");
                name.clone_into(&mut current);
                continue;
            }
            assert_eq!((what, name), ("TYPE", current.as_str()));
            assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
            assert_eq!(rest == "counter", name.ends_with("_total"), "{line}");
            continue;
        }
        let (name, labels, value) = sample(line);
        let base = ["_bucket", "_sum", "_count"].iter().fold(name.as_str(), |name, end| name.trim_end_matches(end));
        assert!(name == current || base == current, "{line} stands under {current}");
        let value = match value {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            value => value.parse().unwrap(),
        };
        assert!(samples.insert((name, labels), value).is_none(), "{line} comes twice");
    }
    samples
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, &str) {
    let word = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap();
    let (name, mut rest) = line.split_at(word(line));
    let mut labels = BTreeMap::new();
    if rest.starts_with('{') {
        loop {
            rest = &rest[1..];
            let (label, after) = rest.split_at(word(rest));
            rest = after.strip_prefix("=\"").unwrap();
            let mut text = String::new();
            let mut chars = rest.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => text.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c if c == '\\' || c == '"' => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    (_, c) => text.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), text).is_none(), "{line}");
            rest = &rest[end + 1..];
            if rest.starts_with('}') {
                break;
            }
            assert!(rest.starts_with(','), "{line}");
        }
        rest = &rest[1..];
    }
    (name.to_owned(), labels, rest.strip_prefix(' ').unwrap())
}

#[test]
fn health_is_200_when_ready_and_503_with_the_reason_otherwise() {
    let fake = Arc::new(Fake::default());
    let server = serve(LOOPBACK.parse().unwrap(), fake.clone()).unwrap();
    let health = || {
        let (status, head, body) = get(server.address(), "/healthz");
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap())
    };
    assert_eq!(health().0, 503, "no station is not ready");
    *fake.0.lock().unwrap() = snapshot();
    let (status, body) = health();
    assert_eq!((status, &body["ready"]), (200, &true.into()));

    let fault = EventFault { code: "camera-lost".to_owned(), text: "camera is gone; plug it in".to_owned() };
    let mut broken = snapshot();
    broken.stations[1].phase = Phase::Fault;
    broken.stations[1].fault = Some(fault);
    *fake.0.lock().unwrap() = broken;
    let (status, body) = health();
    assert_eq!((status, &body["ready"]), (503, &false.into()));
    assert_eq!(body["stations"][1]["fault"]["text"], "camera is gone; plug it in");
    assert_eq!(body["stations"][0]["state"], "ready");

    let address = server.address();
    assert_eq!(get(address, "/").0, 404);
    let post = "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ask(address, post).0, 405);
    assert_eq!(ask(address, "HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").0, 503);
}

#[test]
fn a_taken_port_is_named_and_closing_waits_for_nobody() {
    let taken = TcpListener::bind(LOOPBACK).unwrap();
    let error = serve(taken.local_addr().unwrap(), Arc::new(Fake::default())).unwrap_err();
    assert!(matches!(error, WebError::Taken(_)));
    assert!(error.to_string().contains("is taken by another program; change web.listen"), "{error}");
    let error = serve("192.0.2.1:9464".parse().unwrap(), Arc::new(Fake::default())).unwrap_err();
    assert_eq!(error.code(), "web-listen", "{error}");

    let server = serve(LOOPBACK.parse().unwrap(), Arc::new(Fake::default())).unwrap();
    let address = server.address();
    // One that never finishes its request.
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost").unwrap();
    assert_eq!(get(address, "/metrics").0, 200);
    let start = Instant::now();
    server.close();
    // Two seconds of grace.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop(serve(address, Arc::new(Fake::default())).unwrap());
}
