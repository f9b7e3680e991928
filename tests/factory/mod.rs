//! The virtual factory: an emulated arm64 device with pins and a camera, started and driven by a test.
//! Where it was not prepared, `start` says so and gives nothing; any other trouble fails the test.
#![allow(dead_code, reason = "each test uses its own part")]

mod answers;
mod link;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use answers::{edges, ended, grabbed, numbers, pull};
use link::Link;
use tempfile::NamedTempFile;

/// How long the machine may take from its start to its agent's call.
const BOOT_LIMIT: Duration = Duration::from_mins(3);

/// Two machines at a time would starve each other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where prepare.sh puts what a machine is made of.
pub(crate) fn prepared() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("SHELFWATCH_FACTORY").map_or_else(|| root.join("target/factory"), |folder| root.join(folder))
}

/// What a machine gets besides itself.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Files of this computer and where they go.
    pub(crate) files: &'a [(&'a Path, &'a str)],
    /// Ports of the machine that this computer reaches; `Factory::forwarded` tells where.
    pub(crate) ports: &'a [u16],
    /// An ext4 image for /data: what the machine synced to it outlives a power cut.
    pub(crate) disk: Option<&'a Path>,
    /// The disk of a whole system instead of the bare agent; it is written to.
    pub(crate) system: Option<&'a Path>,
    /// A Raspberry Pi 3 instead of the emulator's own machine; it has no disks.
    pub(crate) board: bool,
}

/// A running machine; dropping it is a power cut.
pub(crate) struct Factory {
    link: Link,
    machine: Child,
    console: PathBuf,
    forwarded: Vec<(u16, u16)>,
    monitor: PathBuf,
    /// From the start of the emulator to the agent's call.
    pub(crate) boot: Duration,
}

/// A change of an output, as the kernel saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Nanoseconds of the machine's monotonic clock, in steps of a microsecond.
    pub(crate) time: u64,
    pub(crate) line: String,
    pub(crate) high: bool,
    /// The program let go of the line, which fell back to its pull.
    pub(crate) released: bool,
}

/// The monotonic time right before and right after an input changed, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pull {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// A picture that came out of a camera in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grabbed {
    pub(crate) sequence: u32,
    /// Nanoseconds of the machine's monotonic clock.
    pub(crate) time: u64,
    pub(crate) bytes: usize,
    pub(crate) crc32: u32,
}

/// How a part passes the camera and the trigger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passing {
    /// Pictures of it before the trigger's edge, and after.
    pub(crate) before: u32,
    pub(crate) after: u32,
    /// Around each picture.
    pub(crate) gap: Duration,
    /// How long the trigger stays up; a program that asks for both edges wants some milliseconds.
    pub(crate) high: Duration,
}

/// How a program in the machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exit(i32),
    Signal(i32),
}

impl Factory {
    /// Starts a machine with these files in it.
    pub(crate) fn start(files: &[(&Path, &str)]) -> Option<Self> {
        Self::start_with(&Setup { files, ..Setup::default() })
    }

    /// `None`, and a line that says why, when the virtual factory was not prepared here.
    pub(crate) fn start_with(setup: &Setup) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let cache = prepared();
        if !cache.join("initramfs").exists() || !cache.join("vmlinuz").exists() {
            let cache = cache.display();
            println!("skipped: the virtual factory; run cross/virtual-factory/prepare.sh {cache}");
            return None;
        }

        let calls = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let call = calls.local_addr().expect("it is bound").port();
        let console = std::env::temp_dir().join(format!("shelfwatch-factory-{}-{call}.log", std::process::id()));
        let log = File::create(&console).expect("the folder for temporary files can be written to");
        let mut command = Command::new(root.join("cross/virtual-factory/machine.sh"));
        command.arg(&cache).args(["--call", &call.to_string()]);
        let monitor = console.with_extension("monitor");
        command.arg("--monitor").arg(&monitor);
        let mut forwarded = Vec::new();
        for guest in setup.ports {
            let host = free_port();
            command.args(["--forward", &format!("{host}:{guest}")]);
            forwarded.push((*guest, host));
        }
        if let Some(disk) = setup.disk {
            command.arg("--disk").arg(disk);
        }
        let more = setup.board.then(|| archive(setup.files));
        if let Some(more) = &more {
            command.arg("--board").arg("--more").arg(more.path());
        }
        if let Some(system) = setup.system {
            command.arg("--system").arg(system);
        }
        let errors = log.try_clone().expect("a file can be shared");
        let started = Instant::now();
        let machine = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("machine.sh starts");
        // In the structure before anything can fail, so that the machine ends with it.
        let mut factory = Self { link: Link::none(), machine, console, forwarded, monitor, boot: Duration::ZERO };
        factory.link = match Link::accept(&calls, BOOT_LIMIT, || factory.machine.try_wait().is_ok_and(|s| s.is_none()))
        {
            Ok(link) => link,
            Err(error) => panic!("{error}; the machine's console said:\n{}", factory.console()),
        };
        factory.boot = started.elapsed();
        for (file, path) in setup.files.iter().filter(|_| !setup.board) {
            let bytes = fs::read(file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()));
            factory.put(path, &bytes);
        }
        Some(factory)
    }

    /// The port of this computer's loopback that leads to a port of the machine.
    pub(crate) fn forwarded(&self, guest: u16) -> u16 {
        let found = self.forwarded.iter().find(|(port, _)| *port == guest);
        found.unwrap_or_else(|| panic!("port {guest} is not among the ports of the setup")).1
    }

    /// What the machine wrote on its console.
    pub(crate) fn console(&self) -> String {
        fs::read(&self.console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Any command of the agent, as the README lists them.
    pub(crate) fn ask(&mut self, line: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        self.link.ask(line, content)
    }

    #[track_caller]
    fn must(&mut self, line: &str) -> String {
        match self.link.ask(line, &[]) {
            Ok(answer) => String::from_utf8_lossy(&answer).into_owned(),
            Err(error) => panic!("`{line}` failed: {error}"),
        }
    }

    /// The machine's monotonic clock, in nanoseconds.
    #[track_caller]
    pub(crate) fn now(&mut self) -> u64 {
        numbers(&self.must("now"))[0]
    }

    /// Sets the machine's wall clock, in seconds since 1970.
    #[track_caller]
    pub(crate) fn set_date(&mut self, seconds: u64) {
        self.must(&format!("date {seconds}"));
    }

    #[track_caller]
    pub(crate) fn put(&mut self, path: &str, bytes: &[u8]) {
        if let Err(error) = self.link.ask(&format!("put {path} {}", bytes.len()), bytes) {
            panic!("cannot put {path}: {error}");
        }
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Vec<u8> {
        self.link.ask(&format!("get {path}"), &[]).unwrap_or_else(|error| panic!("cannot get {path}: {error}"))
    }

    /// Runs a shell command to its end: how it ended, and all that it wrote.
    #[track_caller]
    pub(crate) fn sh(&mut self, command: &str) -> (Ended, String) {
        let answer = self.must(&format!("sh {command}"));
        let (end, text) = answer.split_once('\n').expect("the first line is how it ended");
        (ended(end), text.to_string())
    }

    /// Starts a program in the background; its output goes to /run/NAME.out and /run/NAME.err.
    #[track_caller]
    pub(crate) fn run(&mut self, name: &str, command: &str) -> u32 {
        numbers(&self.must(&format!("run {name} {command}")))[0] as u32
    }

    /// Signals a program and what it started: `TERM`, `KILL`, `STOP`, `CONT`, `HUP`, `INT`, …
    #[track_caller]
    pub(crate) fn kill(&mut self, name: &str, signal: &str) {
        self.must(&format!("kill {name} {signal}"));
    }

    /// How a program ended; `None` when it still runs after the limit.
    #[track_caller]
    pub(crate) fn wait(&mut self, name: &str, limit: Duration) -> Option<Ended> {
        let answer = self.must(&format!("wait {name} {}", limit.as_millis()));
        (answer.trim() != "running").then(|| ended(answer.trim()))
    }

    /// What a program wrote so far, and what it said on its error output.
    #[track_caller]
    pub(crate) fn output(&mut self, name: &str) -> (String, String) {
        let [out, err] = ["out", "err"].map(|end| self.get(&format!("/run/{name}.{end}")));
        (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
    }

    /// The lines of the chip `shelfwatch-sim`, in its order, and the chip's node.
    #[track_caller]
    pub(crate) fn lines(&mut self) -> (String, Vec<String>) {
        let text = self.must("lines");
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        (words[0][0].to_string(), words.iter().map(|words| words[2].to_string()).collect())
    }

    /// The level on the wire.
    #[track_caller]
    pub(crate) fn value(&mut self, line: &str) -> bool {
        self.must(&format!("value {line}")).trim() == "1"
    }

    /// Drives an input, or the level that an output has while no program holds it.
    #[track_caller]
    pub(crate) fn pull(&mut self, line: &str, high: bool) -> Pull {
        pull(&self.must(&format!("pull {line} {}", u8::from(high))))
    }

    /// The changes of outputs after a time of the machine's monotonic clock.
    #[track_caller]
    pub(crate) fn edges(&mut self, since: u64) -> Vec<Edge> {
        edges(&self.must(&format!("edges {since}")))
    }

    /// Waits for a change of an output after a time; the first such, or `None` after the limit.
    #[track_caller]
    pub(crate) fn wait_edge(&mut self, since: u64, limit: Duration, line: &str, high: bool) -> Option<Edge> {
        let text = self.must(&format!("edges {since} {} {line} {}", limit.as_millis(), u8::from(high)));
        edges(&text).into_iter().find(|edge| edge.line == line && edge.high == high)
    }

    /// Gives /dev/video0 a format: `MJPG`, `YUYV` or `GREY`.
    #[track_caller]
    pub(crate) fn camera(&mut self, format: &str, width: u32, height: u32) {
        self.must(&format!("camera {format} {width} {height}"));
    }

    /// Shows a file of the machine so many times at once.
    #[track_caller]
    pub(crate) fn show(&mut self, path: &str, count: u32) {
        self.must(&format!("show {path} {count}"));
    }

    /// Shows files of the machine in turn, so many a second.
    #[track_caller]
    pub(crate) fn play(&mut self, rate: f64, paths: &[&str]) {
        self.must(&format!("play {rate} {}", paths.join(" ")));
    }

    /// The camera stays, but no more pictures come.
    #[track_caller]
    pub(crate) fn freeze(&mut self) {
        self.must("freeze");
    }

    /// The camera is pulled out.
    #[track_caller]
    pub(crate) fn unplug(&mut self) {
        self.must("unplug");
    }

    /// The camera is back, as it was. Errors while a reader still holds on to the one that was pulled out.
    pub(crate) fn plug(&mut self) -> Result<(), String> {
        self.link.ask("plug", &[]).map(drop)
    }

    /// A part passes: its pictures, and between them the rising edge of the trigger.
    #[track_caller]
    pub(crate) fn part(&mut self, trigger: &str, path: &str, passing: Passing) -> Pull {
        let Passing { before, after, gap, high } = passing;
        let (gap, high) = (gap.as_micros(), high.as_micros());
        pull(&self.must(&format!("part {trigger} {path} {before} {after} {gap} {high}")))
    }

    /// Reads pictures as a station does.
    #[track_caller]
    pub(crate) fn grab(&mut self, node: &str, format: &str, width: u32, height: u32, count: u32) -> Vec<Grabbed> {
        let text = self.must(&format!("grab {node} {format} {width} {height} {count}"));
        text.lines().map(grabbed).collect()
    }

    /// A USB stick is plugged in; its image may be changed while it is out.
    pub(crate) fn plug_stick(&mut self, image: &Path) {
        let image = image.display();
        self.tell_emulator(&format!("drive_add 0 if=none,id=stick,format=raw,file={image}"));
        self.tell_emulator("device_add usb-storage,drive=stick,id=stick,removable=on");
    }

    /// It is pulled out, and its drive goes with it.
    pub(crate) fn unplug_stick(&mut self) {
        self.tell_emulator("device_del stick");
    }

    /// A command of QEMU's monitor, and what it answers when it could not be carried out.
    fn tell_emulator(&mut self, command: &str) {
        let mut stream = UnixStream::connect(&self.monitor).expect("the emulator listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a time-out");
        let mut answer = String::new();
        let mut bytes = [0; 1024];
        for line in ["", command] {
            if !line.is_empty() {
                stream.write_all(format!("{line}\n").as_bytes()).expect("the emulator listens");
                answer.clear();
            }
            while !answer.ends_with("(qemu) ") {
                let count = stream.read(&mut bytes).expect("the emulator answers");
                assert!(count > 0, "the emulator ended: {answer}");
                answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
        assert!(!answer.contains("Error") && !answer.contains("error"), "`{command}`: {answer}");
    }

    /// Ends the machine in order.
    pub(crate) fn power_off(mut self) {
        self.must("poweroff");
        let end = Instant::now() + Duration::from_secs(30);
        while self.machine.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(Instant::now() < end, "the machine does not end; its console said:\n{}", self.console());
    }

    /// Ends the machine as a power cut does: what it did not sync to its disk is gone.
    pub(crate) fn cut_power(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}

impl Drop for Factory {
    fn drop(&mut self) {
        self.cut_power();
        if std::thread::panicking() {
            eprintln!("the virtual factory's console:\n{}", self.console());
        }
        let _ = fs::remove_file(&self.console);
        let _ = fs::remove_file(&self.monitor);
    }
}

/// Files of this computer as the kernel unpacks them when it starts.
fn archive(files: &[(&Path, &str)]) -> NamedTempFile {
    let folder = tempfile::tempdir().expect("the folder for temporary files can be written to");
    for (file, path) in files {
        let copy = folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().expect("a file is in a folder")).expect("the folder is ours");
        fs::copy(file, copy).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()));
    }
    let archive = NamedTempFile::new().expect("the folder for temporary files can be written to");
    let pack = Command::new("sh")
        .args(["-c", "find . -type f | cpio --quiet -o -H newc -R 0:0"])
        .current_dir(folder.path())
        .stdout(archive.reopen().expect("it was just made"))
        .status();
    assert!(pack.is_ok_and(|status| status.success()), "cpio fails; install cpio");
    archive
}

/// Free now; whoever wants it takes it in the next moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}
