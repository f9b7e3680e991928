//! A real Mosquitto on a free loopback port, a wire to it that can be cut, a listener, and an outbox in memory.
#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use shelfwatch::config::Mqtt;
use shelfwatch::event::{Outbox, Waiting};
use tempfile::TempDir;

/// Longest wait for anything; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The checkout, also when a scratch crate borrows these files.
pub(crate) fn root_folder() -> PathBuf {
    let file = Path::new(file!());
    let near = file.ancestors().nth(3).filter(|folder| folder.is_absolute());
    near.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), Path::to_owned)
}

/// Waits until it is true.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The program of that name, or `None` after saying so.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no `{program}` here; install mosquitto and openssl");
    }
    found
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A broker. It keeps its port and folder over restarts and dies with the test.
pub(crate) struct Broker {
    program: PathBuf,
    child: Option<Child>,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

impl Broker {
    /// Without a word of configuration, everybody may do everything, and nothing is kept over a restart.
    pub(crate) fn start() -> Option<Self> {
        Self::with("allow_anonymous true\npersistence false\n")
    }

    /// `{folder}` in the configuration stands for the broker's own folder.
    pub(crate) fn with(config: &str) -> Option<Self> {
        Self::in_folder(TempDir::new().unwrap(), config)
    }

    pub(crate) fn in_folder(folder: TempDir, config: &str) -> Option<Self> {
        let program = find("mosquitto")?;
        let mut broker = Self { program, child: None, folder, port: free_port() };
        broker.configure(config);
        broker.run();
        Some(broker)
    }

    pub(crate) fn configure(&self, config: &str) {
        let folder = self.folder.path().to_str().unwrap();
        // Root would be changed to the user `mosquitto`, who cannot read this folder.
        let text = format!(
            "listener {} 127.0.0.1\nuser {}\nmax_inflight_messages 0\nmax_queued_messages 0\n{}",
            self.port,
            if root() { "root" } else { "mosquitto" },
            config.replace("{folder}", folder)
        );
        fs::write(self.folder.path().join("mosquitto.conf"), text).unwrap();
    }

    /// Starts it (again) and waits until it listens.
    pub(crate) fn run(&mut self) {
        let config = self.folder.path().join("mosquitto.conf");
        for _ in 0..20 {
            let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
            let mut command = Command::new(&self.program);
            command.arg("-v").arg("-c").arg(&config).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().unwrap();
            let start = Instant::now();
            while start.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                    self.child = Some(child);
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
            // The port may be taken by another program's outgoing connection for a moment.
            drop(child.kill());
            drop(child.wait());
            thread::sleep(Duration::from_millis(200));
        }
        panic!("mosquitto does not start:\n{}", self.log());
    }

    /// As by a power cut.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// What a [`Wire`] does.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wiring {
    /// Bytes pass.
    Whole,
    /// Connections are ended and refused.
    Cut,
    /// Connections stay, and nothing passes: a half-open connection.
    Hung,
}

/// A wire to the broker.
pub(crate) struct Wire {
    pub(crate) port: u16,
    wiring: Arc<AtomicU8>,
}

impl Wire {
    pub(crate) fn new(to: u16, wiring: Wiring) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wiring = Arc::new(AtomicU8::new(wiring as u8));
        let shared = Arc::clone(&wiring);
        thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { continue };
                if shared.load(Ordering::SeqCst) == Wiring::Cut as u8 {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for (from, to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far.try_clone().unwrap(), near)]
                {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || pass(from, to, &shared));
                }
            }
        });
        Self { port, wiring }
    }

    pub(crate) fn set(&self, wiring: Wiring) {
        self.wiring.store(wiring as u8, Ordering::SeqCst);
        // Long enough for the threads to see it.
        thread::sleep(Duration::from_millis(100));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, wiring: &AtomicU8) {
    from.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut bytes = [0; 4096];
    loop {
        match wiring.load(Ordering::SeqCst) {
            state if state == Wiring::Cut as u8 => break,
            state if state == Wiring::Hung as u8 => {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            _ => {}
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                if wiring.load(Ordering::SeqCst) != Wiring::Whole as u8 {
                    continue;
                }
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

/// A message that was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) topic: String,
    pub(crate) text: String,
    pub(crate) retained: bool,
}

/// Hears everything on a broker, also after its restart.
pub(crate) struct Listener {
    pub(crate) client: Client,
    state: Arc<(Mutex<Vec<Heard>>, Mutex<bool>)>,
}

impl Listener {
    pub(crate) fn new(port: u16, filter: &str) -> Self {
        Self::with(MqttOptions::new(format!("listener-{port}"), ("127.0.0.1", port)), filter)
    }

    pub(crate) fn with(mut options: MqttOptions, filter: &str) -> Self {
        options.set_keep_alive(5).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::builder(options).capacity(1000).build();
        let state = Arc::new((Mutex::new(Vec::new()), Mutex::new(false)));
        let (shared, again, filter) = (Arc::downgrade(&state), client.clone(), filter.to_owned());
        thread::spawn(move || {
            for event in connection.iter() {
                let Some(state) = shared.upgrade() else { return };
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        again.try_subscribe(filter.as_str(), QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => *state.1.lock().unwrap() = true,
                    Ok(Event::Incoming(Packet::Publish(message))) => state.0.lock().unwrap().push(Heard {
                        topic: String::from_utf8(message.topic.to_vec()).unwrap(),
                        text: String::from_utf8(message.payload.to_vec()).unwrap(),
                        retained: message.retain,
                    }),
                    Ok(_) => {}
                    Err(_) => {
                        *state.1.lock().unwrap() = false;
                        thread::sleep(Duration::from_millis(20));
                    }
                }
            }
        });
        let listener = Self { client, state };
        listener.wait_ready();
        listener
    }

    pub(crate) fn ready(&self) -> bool {
        *self.state.1.lock().unwrap()
    }

    pub(crate) fn wait_ready(&self) {
        until("the listener's subscription", || self.ready());
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.0.lock().unwrap().len()
    }

    /// Texts on a topic, in order.
    pub(crate) fn on(&self, topic: &str) -> Vec<String> {
        let heard = self.state.0.lock().unwrap();
        heard.iter().filter(|heard| heard.topic == topic).map(|heard| heard.text.clone()).collect()
    }

    pub(crate) fn wait_for(&self, topic: &str, text: &str) {
        until(&format!("{text} on {topic}"), || self.on(topic).iter().any(|heard| heard == text));
    }

    pub(crate) fn wait_last(&self, topic: &str, text: &str) {
        until(&format!("{text} last on {topic}"), || self.on(topic).last().is_some_and(|heard| heard == text));
    }
}

/// What a new client gets from the broker at once.
pub(crate) fn retained(port: u16, filter: &str) -> BTreeMap<String, String> {
    let listener = Listener::with(MqttOptions::new(format!("look-{}", free_port()), ("127.0.0.1", port)), filter);
    // Everything retained comes before the echo of this.
    let echo = "look/echo";
    let echoes = Listener::with(MqttOptions::new(format!("echo-{}", free_port()), ("127.0.0.1", port)), echo);
    echoes.client.publish(echo, "", rumqttc::PublishOptions::at_least_once()).unwrap();
    until("echo", || echoes.count() > 0);
    thread::sleep(Duration::from_millis(200));
    listener.heard().into_iter().filter(|heard| heard.retained).map(|heard| (heard.topic, heard.text)).collect()
}

/// An outbox in memory that checks its caller: no read of more than it should, nothing acknowledged twice.
#[derive(Default)]
pub(crate) struct Memory {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    waiting: BTreeMap<i64, Waiting>,
    acknowledged: BTreeSet<i64>,
    largest_read: usize,
    broken: bool,
    read_only: bool,
}

impl Memory {
    /// Files an event; its text is `{"id":"<station>-<number>"}`.
    pub(crate) fn file(&self, station: &str, number: i64) {
        let json = format!(r#"{{"id":"{station}-{number}","padding":"{}"}}"#, "x".repeat(200));
        let event = Waiting { number, station: station.to_owned(), json };
        self.inside.lock().unwrap().waiting.insert(number, event);
    }

    pub(crate) fn acknowledged_so_far(&self) -> BTreeSet<i64> {
        self.inside.lock().unwrap().acknowledged.clone()
    }

    pub(crate) fn left(&self) -> usize {
        self.inside.lock().unwrap().waiting.len()
    }

    pub(crate) fn largest_read(&self) -> usize {
        self.inside.lock().unwrap().largest_read
    }

    pub(crate) fn break_down(&self, broken: bool) {
        self.inside.lock().unwrap().broken = broken;
    }

    pub(crate) fn read_only(&self, read_only: bool) {
        self.inside.lock().unwrap().read_only = read_only;
    }
}

impl Outbox for Memory {
    fn waiting(&self, after: i64, limit: usize) -> Result<Vec<Waiting>, String> {
        let mut inside = self.inside.lock().unwrap();
        if inside.broken {
            return Err("disk on fire".to_owned());
        }
        inside.largest_read = inside.largest_read.max(limit);
        let above = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        Ok(inside.waiting.range(above).take(limit).map(|(_, event)| event.clone()).collect())
    }

    fn acknowledged(&self, numbers: &[i64]) -> Result<(), String> {
        let mut inside = self.inside.lock().unwrap();
        if inside.broken || inside.read_only {
            return Err("disk on fire".to_owned());
        }
        for number in numbers {
            assert!(inside.acknowledged.insert(*number), "{number} was acknowledged twice");
            assert!(inside.waiting.remove(number).is_some(), "{number} was never filed");
        }
        Ok(())
    }
}

/// The way to a broker on this machine.
pub(crate) fn config(port: u16) -> Mqtt {
    Mqtt {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        user: None,
        password_file: None,
        ca_file: None,
        client_cert: None,
        client_key: None,
        prefix: "shelfwatch".to_owned(),
        home_assistant: false,
    }
}

/// Writes a file and gives its path.
pub(crate) fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A program's standard output; a failure ends the test.
pub(crate) fn output(command: &mut Command) -> Vec<u8> {
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}
