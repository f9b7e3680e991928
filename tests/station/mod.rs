//! The real daemon on a line of files: its configuration, its folders, its pages, its journal and its log.
#![allow(dead_code, unused_imports, reason = "each test file uses its share")]

mod shelf;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use shelfwatch::event::EventKind;
use shelfwatch::journal::{Filter, Reader, StoredEvent};

pub(crate) use shelf::{Part, good, jpeg, judge, shelf, strange};

/// Longest wait for anything; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A folder with everything that one daemon has, and the daemon while it runs.
pub(crate) struct Line {
    folder: tempfile::TempDir,
    state: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Line {
    /// With its state in the folder, too.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        Self::with_state(folder, state)
    }

    /// With its state elsewhere.
    pub(crate) fn with_state(folder: tempfile::TempDir, state: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, state, port, child: None }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The text of a station that reads the folder `<name>/in`, which is made, and moves files to `<name>/done`.
    pub(crate) fn folder_station(&self, name: &str) -> String {
        fs::create_dir_all(self.at(name).join("in")).unwrap();
        let source = format!("{{ path = \"{name}/in\", after = \"move\", moved_to = \"{name}/done\" }}");
        station(name, &format!("source.folder = {source}\n"))
    }

    /// Writes the configuration: stations first, then the tables of `more`.
    pub(crate) fn configure(&self, stations: &str, more: &str) {
        let (state, port) = (self.state.display(), self.port);
        let head = format!("site = \"plant\"\ndevice = \"line\"\nstate = \"{state}\"\n");
        let text = format!("{head}{stations}\n{more}\n[web]\nlisten = \"127.0.0.1:{port}\"\n");
        fs::write(self.at("station.toml"), text).unwrap();
    }

    /// Starts the daemon; its log is kept over restarts.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the daemon with these variables in its environment.
    pub(crate) fn start_with(&mut self, variables: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs");
        let log = fs::File::options().create(true).append(true).open(self.at("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwatch"));
        command.arg("run").arg("--config").arg(self.at("station.toml")).stdin(Stdio::null());
        command.envs(variables.iter().copied());
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Starts it and waits until every station is ready.
    pub(crate) fn start_ready(&mut self) {
        self.start();
        self.until("every station is ready", |line| line.health().is_some_and(|(status, _)| status == 200));
    }

    /// SIGTERM; its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal("TERM");
        let mut child = self.child.take().unwrap();
        let begin = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code().expect("it ends by itself, not by the signal");
            }
            if begin.elapsed() > PATIENCE {
                drop(child.kill());
                panic!("it does not end at SIGTERM");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits until it is so; fails at once when the daemon has ended.
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is(self) {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().unwrap()
            {
                self.child = None;
                panic!("the daemon has ended ({status}) before: {what}");
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "waited too long: {what}\n{}",
                self.page("/metrics").unwrap_or_default().1
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Puts a whole file into the folder of a station.
    pub(crate) fn put(&self, station: &str, name: &str, bytes: &[u8]) {
        let hidden = self.at(station).join("in").join(format!(".{name}"));
        fs::write(&hidden, bytes).unwrap();
        fs::rename(&hidden, self.at(station).join("in").join(name)).unwrap();
    }

    /// Names in the folder where judged files go.
    pub(crate) fn done(&self, station: &str) -> Vec<String> {
        names(&self.at(station).join("done"))
    }

    /// Status and text of a page; `None` while nobody answers.
    pub(crate) fn page(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: line\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// What `/healthz` says.
    pub(crate) fn health(&self) -> Option<(u16, Value)> {
        let (status, text) = self.page("/healthz")?;
        Some((status, serde_json::from_str(&text).unwrap()))
    }

    /// Whether the page of health is red with that code.
    pub(crate) fn is_red(&self, code: &str) -> bool {
        self.health().is_some_and(|(status, health)| {
            let stations = health["stations"].as_array().unwrap();
            status == 503 && stations.iter().any(|station| station["fault"]["code"] == code)
        })
    }

    pub(crate) fn is_green(&self) -> bool {
        self.health().is_some_and(|(status, _)| status == 200)
    }

    /// A sample of `/metrics` by its name with labels; 0 where there is none.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, page) = self.page("/metrics").unwrap_or_default();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
    }

    /// Passes, reviews, rejects and failed inspections of a station.
    pub(crate) fn parts(&self, station: &str) -> [u64; 4] {
        let (_, page) = self.page("/metrics").unwrap_or_default();
        ["pass", "review", "reject", "fault"].map(|verdict| {
            let name = format!("shelfwatch_parts_total{{station=\"{station}\",verdict=\"{verdict}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |value| value.parse().unwrap())
        })
    }

    /// Everything in the journal.
    pub(crate) fn events(&self) -> Vec<StoredEvent> {
        let Ok(reader) = Reader::open(&self.state) else { return Vec::new() };
        reader.events(&Filter::default()).map_while(Result::ok).collect()
    }

    /// How many events of that kind there are, of faults with that code.
    pub(crate) fn count(&self, kind: EventKind, code: Option<&str>) -> usize {
        let is = |stored: &&StoredEvent| {
            stored.event.kind == kind && code == stored.event.fault.as_ref().map(|fault| fault.code.as_str())
        };
        self.events().iter().filter(is).count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the daemon's log:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

/// The text of a station on the shelf of all tests. Its deadline is one that a busy machine keeps.
pub(crate) fn station(name: &str, more: &str) -> String {
    let shelf = shelf().display();
    format!("\n[[station]]\nname = \"{name}\"\nshelf = \"{shelf}\"\ndeadline_ms = 60000\n{more}")
}

/// Names of the files in a folder, in order; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.map(Result::unwrap).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
