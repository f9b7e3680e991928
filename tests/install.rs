//! New shelves on a device: whatever must not be used is refused with its own words while the line runs on, what may be is
//! proven, taken over by the running daemon, kept on trial, and left by itself where it fails.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
#[path = "../core/tests/maker/mod.rs"]
mod maker;
mod sshd;
mod station;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use binary::{Answer, argument, shelfwatch};
use maker::Maker;
use serde_json::Value;
use shelfwatch::digest::{hexadecimal, sha256};
use shelfwatch::event::EventKind;
use shelfwatch::seed::Seed;
use shelfwatch::shelf::{SecretKey, sign};
use shelfwatch_core::{SectionKind, Shelf};
use station::{Line, good, shelf};

/// A line whose station has a shelf of its own, signed by one of two trusted keys.
struct Device {
    line: Line,
    keys: [SecretKey; 2],
}

impl Device {
    fn new(install: &str) -> Self {
        let device = Self { line: Line::new(), keys: [(); 2].map(|()| SecretKey::generate().unwrap()) };
        for (name, key) in ["one.pub", "two.pub"].iter().zip(&device.keys) {
            key.public().write(&device.line.at(name)).unwrap();
        }
        fs::write(device.own(), device.signed(0)).unwrap();
        let text = device.line.folder_station("cap").replace(argument(shelf()), argument(&device.own()));
        device.line.configure(&text, &format!("[install]\n{install}\n"));
        device
    }

    fn trusting() -> Self {
        Self::new("keys = [\"one.pub\", \"two.pub\"]")
    }

    fn own(&self) -> PathBuf {
        self.line.at("own.shelf")
    }

    /// The same shelf, signed by one of the keys: two files that differ.
    fn signed(&self, key: usize) -> Vec<u8> {
        sign(&fs::read(shelf()).unwrap(), &self.keys[key]).unwrap()
    }

    fn verb(&self, verb: &str, more: &[&str]) -> Answer {
        let config = self.line.at("station.toml");
        shelfwatch([verb, "--config", argument(&config)].into_iter().chain(more.iter().copied()))
    }

    fn install(&self, bytes: &[u8], more: &[&str]) -> Answer {
        let file = self.line.at("new.shelf");
        fs::write(&file, bytes).unwrap();
        self.verb("install", &[&[argument(&file)], more].concat())
    }

    /// Hash of the shelf that the daemon judges with.
    fn used(&self) -> Option<String> {
        let (_, health) = self.line.health()?;
        Some(health["stations"][0]["shelf"].as_str()?.to_owned())
    }

    fn judge_one(&mut self, name: &str) {
        let part = &good(1)[0];
        let judged = self.line.parts("cap").iter().sum::<u64>();
        self.line.put("cap", name, &station::jpeg(part));
        self.line.until("a part is judged", |line| line.parts("cap").iter().sum::<u64>() > judged);
    }
}

fn hash(bytes: &[u8]) -> String {
    hexadecimal(&sha256(bytes))
}

/// The same sections, one of them changed.
fn changed(file: &[u8], kind: SectionKind, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut sections = Maker::of(file);
    change(sections.get_mut(kind));
    sections.file()
}

/// Its golden images have other scores.
fn unproven(file: &[u8]) -> Vec<u8> {
    changed(file, SectionKind::Golden, |bytes| {
        let score = f32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        bytes[4..8].copy_from_slice(&(score * 1.01 + 0.001).to_le_bytes());
    })
}

fn newer(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[8] = 2;
    let sum = crc32fast::hash(&file[..28]);
    file[28..32].copy_from_slice(&sum.to_le_bytes());
    file
}

#[test]
fn what_must_not_be_used_is_refused_with_its_own_words_and_the_line_runs_on() {
    let mut device = Device::trusting();
    device.line.start_ready();
    let plain = fs::read(shelf()).unwrap();
    let good = device.signed(1);
    let foreign = sign(&plain, &SecretKey::generate().unwrap()).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let needs = b"aarch64\nx86_64\nsve9000".to_vec();
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("damaged", damaged, "is damaged (checksum differs)"),
        ("tampered", changed(&good, SectionKind::Backbone, |bytes| bytes[100] ^= 1), "does not belong to this content"),
        ("truncated", good[..good.len() - 1].to_vec(), "1 bytes short"),
        ("unsigned", plain.clone(), "is not signed"),
        ("of a foreign key", foreign, "a key that is not trusted here"),
        ("newer", newer(&good), "shelf format 2 is not one this program reads"),
        (
            "for other processors",
            sign(&Maker::of(&plain).with(SectionKind::Needs, needs).file(), &device.keys[1]).unwrap(),
            "sve9000, which",
        ),
        ("unproven", sign(&unproven(&plain), &device.keys[1]).unwrap(), "scored"),
        ("no shelf", b"\x89PNG".repeat(100), "not a shelf file"),
    ];
    let before = fs::read(device.own()).unwrap();
    for (what, bytes, words) in cases {
        let answer = device.install(&bytes, &[]);
        assert!(answer.code == 2 && answer.err.contains(words), "{what}: {}{}", answer.out, answer.err);
        assert!(answer.err.contains("; ") && answer.err.contains("the shelf in use stays"), "{what}: {}", answer.err);
        assert!(device.line.is_green() && fs::read(device.own()).unwrap() == before, "{what}");
    }
    assert!(!device.line.at("own.shelf.previous").exists() && !device.line.at("own.shelf.trial").exists());
    assert_eq!(device.used(), Some(hash(&before)));
    device.judge_one("after.jpg");
    assert_eq!(device.line.count(EventKind::Fault, None) + device.line.count(EventKind::Recovered, None), 0);

    // What is too large is refused before it is looked into.
    let text = fs::read_to_string(device.line.at("station.toml")).unwrap();
    fs::write(device.line.at("station.toml"), text.replace("[install]", "[install]\nmegabytes = 1")).unwrap();
    let mut large = good.clone();
    large.resize(1_000_001, 0);
    let answer = device.install(&large, &[]);
    assert!(
        answer.code == 2 && answer.err.contains("larger than the 1000000 bytes that this device takes"),
        "{}",
        answer.err
    );
}

#[test]
fn a_device_takes_nothing_before_it_is_told_whom_to_trust() {
    let device = Device::new("");
    let answer = device.install(&device.signed(1), &[]);
    assert!(answer.code == 2 && answer.err.contains("this device trusts nobody"), "{}", answer.err);
    let device = Device::new("unsigned = true");
    let plain = fs::read(shelf()).unwrap();
    assert_eq!(device.install(&plain, &["--dry-run"]).code, 0);
    // Also then a signature that is there must be right.
    let forged = changed(&device.signed(0), SectionKind::Backbone, |bytes| bytes[100] ^= 1);
    let answer = device.install(&forged, &["--dry-run"]);
    assert!(answer.code == 2 && answer.err.contains("does not belong to this content"), "{}", answer.err);
    let device = Device::new("keys = [\"none.pub\"]");
    let answer = device.install(&device.signed(1), &[]);
    assert!(answer.code == 2 && answer.err.contains("none.pub"), "{}", answer.err);
    // Nor does the daemon then.
    let mut device = Device::new("keys = [\"two.pub\"]");
    device.line.start();
    device.line.until("it is refused", |line| line.is_red("shelf-refused"));
    assert!(device.line.log().contains("a key that is not trusted here"), "{}", device.line.log());
}

#[test]
fn a_good_shelf_is_taken_over_while_the_line_runs_and_rollback_returns() {
    let mut device = Device::trusting();
    device.line.start_ready();
    let [one, two] = [0, 1].map(|key| device.signed(key));
    assert_eq!(device.used(), Some(hash(&one)));
    let answer = device.install(&two, &["--dry-run", "--json"]);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(
        (answer.code, found["state"].as_str(), found["daemon"].as_str()),
        (0, Some("proven"), Some("not-asked"))
    );
    assert_eq!(device.used(), Some(hash(&one)));

    let answer = device.install(&two, &[]);
    assert!(answer.code == 0 && answer.out.contains("judges parts with it"), "{}{}", answer.out, answer.err);
    assert_eq!(
        (device.used(), fs::read(device.line.at("own.shelf.previous")).unwrap()),
        (Some(hash(&two)), one.clone())
    );
    device.judge_one("with-two.jpg");
    // The trial ends when it has judged a part and half a minute has passed.
    device.line.until("it has proven itself", |line| !line.at("own.shelf.trial").exists());

    let answer = device.verb("rollback", &["--json"]);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((answer.code, found["daemon"].as_str()), (0, Some("ready")), "{}", answer.err);
    assert_eq!((device.used(), found["sha256"].as_str()), (Some(hash(&one)), Some(&hash(&one)[..])));
    // From standard input, to a daemon that does not run.
    assert_eq!(device.line.stop(), 0);
    let mut piped = Command::new(env!("CARGO_BIN_EXE_shelfwatch"))
        .args(["install", "-", "--config", argument(&device.line.at("station.toml"))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(&two).unwrap();
    let output = piped.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("it takes the shelf when it starts"), "{said}");
    device.line.start_ready();
    assert_eq!(device.used(), Some(hash(&two)));
}

#[test]
fn a_shelf_with_which_the_daemon_does_not_get_on_is_left_by_itself() {
    let mut device = Device::trusting();
    let [one, two] = [0, 1].map(|key| device.signed(key));
    assert_eq!(device.install(&two, &[]).code, 0);
    for _ in 0..3 {
        device.line.start_ready();
        assert_eq!(device.used(), Some(hash(&two)));
        device.line.kill();
    }
    device.line.start_ready();
    assert_eq!(device.used(), Some(hash(&one)));
    device.line.until("it is told", |line| line.count(EventKind::Fault, Some("shelf-left")) == 1);
    // Ends in order are no failures, however many.
    assert_eq!(device.install(&two, &[]).code, 0);
    for _ in 0..5 {
        assert_eq!(device.line.stop(), 0);
        device.line.start_ready();
    }
    assert_eq!(device.used(), Some(hash(&two)));
    assert_eq!(device.line.stop(), 0);

    // One that fails its proof at the start, as after a switch to another device's card.
    let bad = sign(&unproven(&one), &device.keys[0]).unwrap();
    shelfwatch::device::install::Slots::new(&device.own()).switch(&bad).unwrap();
    device.line.start_ready();
    assert_eq!(device.used(), Some(hash(&two)));
    device.line.until("it is told", |line| line.count(EventKind::Fault, Some("shelf-left")) == 2);
    assert!(device.line.is_green());
}

#[test]
fn over_ssh_it_is_the_device_that_proves_the_shelf() {
    let mut device = Device::trusting();
    let Some(server) = sshd::Server::start(&device.line.at("ssh")) else { return };
    device.line.start_ready();
    let (config, file) = (device.line.at("station.toml"), device.line.at("new.shelf"));
    let client = server.client().to_owned();
    let send = |bytes: &[u8], more: &[&str]| {
        fs::write(&file, bytes).unwrap();
        let to = ["install", argument(&file), "--config", argument(&config), "--to", "127.0.0.1", "--ssh", &client];
        shelfwatch(to.into_iter().chain(more.iter().copied()))
    };
    let [one, two] = [0, 1].map(|key| device.signed(key));
    let answer = send(&fs::read(shelf()).unwrap(), &[]);
    assert!(answer.code == 2 && answer.err.contains("is not signed"), "{}", answer.err);
    assert_eq!(device.used(), Some(hash(&one)));
    let answer = send(&two, &["--station", "cap"]);
    assert!(answer.code == 0 && answer.out.contains("judges parts with it"), "{}{}", answer.out, answer.err);
    assert_eq!(device.used(), Some(hash(&two)));
    let answer = send(&two, &["--station", "it's; none"]);
    assert!(answer.code == 2 && answer.err.contains("no station it's; none"), "{}", answer.err);
    drop(server);
    let answer = send(&one, &[]);
    assert!(answer.code == 2 && answer.err.contains("ssh did not reach 127.0.0.1; "), "{}", answer.err);
    assert_eq!(device.used(), Some(hash(&two)));
}

#[test]
fn a_stick_gives_only_what_is_signed_and_for_this_device() {
    let mut device = Device::new("keys = [\"one.pub\", \"two.pub\"]\nunsigned = true\nusb = true");
    device.line.start_ready();
    let stick = device.line.at("stick");
    let stick = |device: &Device| device.verb("stick", &[argument(&stick)]);
    let put = |device: &Device, place: &str, bytes: &[u8]| {
        let path = device.line.at("stick").join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let before = hash(&device.signed(0));
    put(&device, "shelfwatch/another/cap.shelf", &device.signed(1));
    put(&device, "shelfwatch/line/another.shelf", &device.signed(1));
    let answer = stick(&device);
    assert!(answer.code == 0 && answer.out.contains("holds nothing for line;"), "{}{}", answer.out, answer.err);
    put(&device, "shelfwatch/line/cap.shelf", &fs::read(shelf()).unwrap());
    let answer = stick(&device);
    assert!(answer.code == 2 && answer.err.contains("station cap: the shelf in use stays: "), "{}", answer.err);
    assert!(answer.err.contains("is not signed"), "{}", answer.err);
    put(&device, "shelfwatch/line/cap.shelf", &device.signed(0));
    let answer = stick(&device);
    assert!(answer.code == 0 && answer.out.contains("in use already"), "{}{}", answer.out, answer.err);
    assert_eq!((device.used(), device.line.at("own.shelf.previous").exists()), (Some(before), false));

    put(&device, "shelfwatch/line/cap.shelf", &device.signed(1));
    let answer = stick(&device);
    assert!(answer.code == 0 && answer.out.contains("daemon: judges parts with it"), "{}{}", answer.out, answer.err);
    assert_eq!(device.used(), Some(hash(&device.signed(1))));
    device.judge_one("after.jpg");

    // A device that has not been told to takes nothing.
    let text = fs::read_to_string(device.line.at("station.toml")).unwrap();
    fs::write(device.line.at("station.toml"), text.replace("usb = true", "")).unwrap();
    put(&device, "shelfwatch/line/cap.shelf", &device.signed(0));
    let answer = stick(&device);
    assert!(answer.code == 0 && answer.out.contains("set usb = true"), "{}{}", answer.out, answer.err);
    assert_eq!(device.used(), Some(hash(&device.signed(1))));
}

#[test]
fn an_installation_killed_at_any_moment_leaves_a_proven_shelf_in_use() {
    let device = Device::trusting();
    let files = [0, 1].map(|key| device.signed(key));
    let known: Vec<String> = files.iter().map(|file| hash(file)).collect();
    let mut random = Seed::new(20);
    let (mut switched, mut killed) = (0, 0);
    let whole = std::time::Instant::now();
    assert_eq!(device.install(&files[1], &[]).code, 0);
    // It waits for the daemon in the end; what matters lies before that.
    let span = whole.elapsed().min(Duration::from_millis(150));
    for round in 0..40 {
        let next = &files[round % 2];
        fs::write(device.line.at("new.shelf"), next).unwrap();
        let mut installation = Command::new(env!("CARGO_BIN_EXE_shelfwatch"))
            .args(["install", argument(&device.line.at("new.shelf")), "--config"])
            .arg(device.line.at("station.toml"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(span.mul_f32(random.between(0.0, 1.0)));
        killed += usize::from(installation.try_wait().unwrap().is_none());
        installation.kill().unwrap();
        installation.wait().unwrap();
        let used = fs::read(device.own()).unwrap();
        assert!(known.contains(&hash(&used)), "round {round}: something else is in use");
        Shelf::parse(&used).unwrap();
        if let Ok(previous) = fs::read(device.line.at("own.shelf.previous")) {
            assert!(known.contains(&hash(&previous)), "round {round}");
        }
        switched += usize::from(used == *next);
    }
    println!("{killed} of 40 were killed at work, {switched} had switched");
    assert!(killed > 10);
    // And the next one goes through.
    let answer = device.install(&files[0], &[]);
    assert_eq!((answer.code, hash(&fs::read(device.own()).unwrap())), (0, known[0].clone()), "{}", answer.err);
    assert!(Path::new(&device.line.at("own.shelf.trial")).exists());
}
