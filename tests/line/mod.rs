//! A station in the virtual factory: the daemon as it goes onto a device, the demo's shelf, drawn parts in front of the
//! camera. Skips where the factory was not prepared or the daemon not built, and says how.
#![allow(dead_code, reason = "each test uses its own part")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::MutexGuard;
use std::time::{Duration, Instant, SystemTime};

use shelfwatch::journal::Reader;
use tempfile::TempDir;

use crate::binary::{argument, shelfwatch};
use crate::factory::{Ended, Factory, Passing, Pull, Setup, alone};

/// Where the machine serves `/metrics`.
pub(crate) const WEB: u16 = 9464;
/// How long anything may take that is only waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How much later than asked for a pulse of an emulated device may begin or end.
pub(crate) const LATE: u64 = 500 * MS;
/// A millisecond in the machine's nanoseconds.
pub(crate) const MS: u64 = 1_000_000;
/// Edges are recorded in steps of this.
pub(crate) const STEP: u64 = 1000;

/// The station's configuration; a test replaces what it wants otherwise.
pub(crate) const CONFIG: &str = r#"
site = "factory"
device = "virtual"
state = "/run/state"

[[station]]
name = "cam1"
shelf = "/root/line.shelf"
timeout_ms = 10000
deadline_ms = 3500
[station.source.v4l2]
device = "/dev/video0"
format = "mjpg"
[station.trigger.gpio]
window_ms = 3000
[station.trigger.gpio.input]
chip = "shelfwatch-sim"
line = "trigger"
[station.decide]
hold_ms = 0
[station.reject]
chip = "shelfwatch-sim"
line = "reject"
delay_ms = 4000
width_ms = 60
late = "stop"
[station.review]
chip = "shelfwatch-sim"
line = "review"
delay_ms = 4000
width_ms = 60
[station.health]
frozen_after = 4

[run_ok]
chip = "shelfwatch-sim"
line = "run_ok"
period_ms = 100

[clear]
chip = "shelfwatch-sim"
line = "clear"

[journal]
keep_every = 1
[web]
listen = "0.0.0.0:9464"
"#;

/// How a part passes: pictures after the edge, as a camera that runs free gives them.
pub(crate) const PASSING: Passing =
    Passing { before: 0, after: 3, gap: Duration::from_millis(8), high: Duration::from_millis(20) };

/// A machine with a station on it.
pub(crate) struct Line {
    pub(crate) factory: Factory,
    /// The demo's files and whatever came out of the machine.
    pub(crate) folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// What `/metrics` says.
#[derive(Clone, Debug)]
pub(crate) struct Figures(String);

impl Figures {
    /// The sum of all samples of a metric with that text among their labels.
    pub(crate) fn sum(&self, metric: &str, label: &str) -> f64 {
        let of_metric = self.0.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
        let wanted = of_metric.filter(|rest| rest.contains(label));
        wanted.map(|rest| rest.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a value")).sum()
    }

    /// Parts with a verdict of that name, or with any.
    pub(crate) fn parts(&self, verdict: &str) -> u64 {
        self.sum("shelfwatch_parts_total", verdict) as u64
    }

    /// Whether that fault is there now.
    pub(crate) fn fault(&self, code: &str) -> bool {
        self.sum("shelfwatch_fault", &format!("\"{code}\"")) > 0.0
    }

    /// Whether the station vouches for its parts.
    pub(crate) fn ready(&self) -> bool {
        self.sum("shelfwatch_station_ready", "") > 0.0
    }
}

/// The daemon for the machine, or `None` and how to get it.
pub(crate) fn daemon() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let daemon = std::env::var_os("SHELFWATCH_FACTORY_DAEMON")
        .map_or_else(|| root.join("target/aarch64-unknown-linux-gnu/release/shelfwatch"), |path| root.join(path));
    fresh(&daemon, "cross/virtual-factory/daemon.sh").then_some(daemon)
}

/// Whether that was built by that script, and since the sources last changed.
pub(crate) fn fresh(built: &Path, script: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(time) = fs::metadata(built).and_then(|facts| facts.modified()) else {
        println!("skipped: a station in the virtual factory; run {script}");
        return false;
    };
    let newer = ["src", "core/src", "network/src"].iter().find_map(|folder| newer_than(&root.join(folder), time));
    assert!(newer.is_none(), "{newer:?} is newer than {}; run {script} again", built.display());
    true
}

/// What the daemon serves there; `None` while it does not.
pub(crate) fn page(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

fn newer_than(folder: &Path, time: SystemTime) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).expect("a source folder").map(|entry| entry.expect("an entry").path());
    let newer = |path: &Path| path.metadata().and_then(|facts| facts.modified()).is_ok_and(|at| at > time);
    entries.into_iter().find_map(
        |path| {
            if path.is_dir() { newer_than(&path, time) } else { newer(&path).then_some(path) }
        },
    )
}

impl Line {
    /// A machine with daemon, shelf and configuration, nothing running yet, and the camera silent.
    pub(crate) fn start() -> Option<Self> {
        let alone = alone();
        let daemon = daemon()?;
        let files = [(daemon.as_path(), "/root/shelfwatch")];
        let factory = Factory::start_with(&Setup { files: &files, ports: &[WEB], ..Setup::default() })?;
        let mut line = Self::around(factory, alone);
        let shelf = fs::read(line.shelf()).expect("the demo wrote its shelf");
        line.factory.put("/root/line.shelf", &shelf);
        let (ended, said) = line.factory.sh("mkdir -p /run/state");
        assert_eq!(ended, Ended::Exit(0), "{said}");
        Some(line)
    }

    /// Around a machine of which this computer reaches [`WEB`]; makes the demo's shelf.
    pub(crate) fn around(factory: Factory, alone: MutexGuard<'static, ()>) -> Self {
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written to");
        let out = folder.path().join("demo");
        let demo = shelfwatch(["demo", "--seed", "1", "--parts", "1", "--out", argument(&out)]);
        assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
        Self { factory, folder, _alone: alone }
    }

    /// The demo's shelf on this computer.
    pub(crate) fn shelf(&self) -> PathBuf {
        self.folder.path().join("demo/line.shelf")
    }

    /// Starts the daemon and waits until it vouches for its parts. The camera must be playing.
    pub(crate) fn run(&mut self, config: &str) {
        self.factory.put("/root/station.toml", config.as_bytes());
        self.factory.run("station", "/root/shelfwatch run --config /root/station.toml");
        self.until("the station is ready", Figures::ready);
    }

    /// Lets the running daemon take over another configuration.
    #[track_caller]
    pub(crate) fn reload(&mut self, config: &str) {
        let taken = |line: &mut Self| line.log().matches("the new configuration is taken over").count();
        let before = taken(self);
        self.factory.put("/root/station.toml", config.as_bytes());
        self.factory.kill("station", "HUP");
        let begun = Instant::now();
        while taken(self) == before {
            assert!(begun.elapsed() < PATIENCE, "not taken over\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.until("the station is ready again", Figures::ready);
    }

    /// What the daemon said so far, whoever started it.
    pub(crate) fn log(&mut self) -> String {
        self.factory.sh("cat /run/station.err 2>/dev/null || journalctl --no-pager -u 'shelfwatch*'").1
    }

    /// What `/metrics` says; `None` while it is not served.
    pub(crate) fn figures(&self) -> Option<Figures> {
        page(self.factory.forwarded(WEB), "/metrics").map(Figures)
    }

    /// Waits for a time of the machine's clock.
    pub(crate) fn wait_for(&mut self, time: u64) {
        while self.factory.now() < time {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the figures are as wanted.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Figures) -> bool) -> Figures {
        let begun = Instant::now();
        loop {
            let figures = self.figures();
            if let Some(figures) = figures.as_ref().filter(|figures| holds(figures)) {
                return figures.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}; {figures:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A part passes, and has its verdict; it must be the only one on its way.
    #[track_caller]
    pub(crate) fn pass(&mut self, picture: &str) -> Pull {
        let before = self.figures().expect("the station runs").parts("");
        let pull = self.factory.part("trigger", picture, PASSING);
        self.until("the part has its verdict", |figures| figures.parts("") > before);
        pull
    }

    /// SIGTERM, an end in order, and the state folder brought here.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Reader {
        self.factory.kill("station", "TERM");
        let ended = self.factory.wait("station", PATIENCE);
        assert_eq!(ended, Some(Ended::Exit(0)), "{}", self.log());
        self.journal()
    }

    /// The state folder as it is, read here.
    #[track_caller]
    pub(crate) fn journal(&mut self) -> Reader {
        let (ended, said) = self.factory.sh("tar -cf /tmp/state.tar -C /run state");
        assert_eq!(ended, Ended::Exit(0), "{said}");
        let archive = self.folder.path().join("state.tar");
        fs::write(&archive, self.factory.get("/tmp/state.tar")).expect("the folder takes it");
        let unpacked =
            Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(self.folder.path()).status().expect("tar runs");
        assert!(unpacked.success());
        Reader::open(&self.folder.path().join("state")).expect("the journal is sound")
    }

    /// Rising or falling edges of a line.
    #[track_caller]
    pub(crate) fn edges(&mut self, since: u64, line: &str, high: bool) -> Vec<u64> {
        let edges = self.factory.edges(since).into_iter();
        edges.filter(|edge| edge.line == line && edge.high == high).map(|edge| edge.time).collect()
    }

    /// The pulse on an output that began after a time: begin and end.
    #[track_caller]
    pub(crate) fn pulse(&mut self, since: u64, line: &str) -> [u64; 2] {
        let begin = self.factory.wait_edge(since, PATIENCE, line, true);
        let begin = begin.unwrap_or_else(|| panic!("no pulse on {line}\n{}", self.log())).time;
        let end = self.factory.wait_edge(begin, PATIENCE, line, false).expect("the pulse ends").time;
        [begin, end]
    }

    /// RUN-OK changes its level again and again.
    #[track_caller]
    pub(crate) fn assert_run_ok(&mut self) {
        let since = self.factory.now();
        for high in [true, false, true] {
            let edge = self.factory.wait_edge(since, PATIENCE, "run_ok", high);
            assert!(edge.is_some(), "RUN-OK stands still\n{}", self.log());
        }
    }

    /// RUN-OK rests, inactive; the last time it changed.
    #[track_caller]
    pub(crate) fn assert_no_run_ok(&mut self) -> u64 {
        std::thread::sleep(Duration::from_millis(300));
        let since = self.factory.now();
        std::thread::sleep(Duration::from_millis(700));
        let edges = self.factory.edges(0).into_iter().filter(|edge| edge.line == "run_ok");
        let last = edges.map(|edge| edge.time).max().unwrap_or_default();
        assert!(last <= since && !self.factory.value("run_ok"), "RUN-OK goes on\n{}", self.log());
        last
    }
}
