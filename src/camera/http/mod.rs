//! Motion JPEG over HTTP/1.1 (`multipart/x-mixed-replace`), read in its own thread. Refuses TLS, single pictures and
//! other kinds of video.

mod address;
mod multipart;

use std::io::Read;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::RedirectAuthHeaders;

use self::address::Address;
use self::multipart::{Multipart, Part, boundary};
use crate::camera::{Camera, CameraError, jpeg_walk, lost};
use crate::capture::{Capture, Moment};

/// For the name, the connection, the answer and each read: a camera on the same network that takes longer is ill.
const PATIENCE: Duration = Duration::from_secs(10);
/// Redirects followed; the password goes to the same host only.
const REDIRECTS: u32 = 5;
const CHUNK: usize = 64 * 1024;
/// Time that the end of the reading thread is waited for.
const GRACE: Duration = Duration::from_millis(500);

/// A stream that is being read.
pub(super) struct Http {
    name: String,
    hatch: Arc<Hatch>,
    agent: Agent,
    thread: Option<JoinHandle<()>>,
}

/// Where the reading thread hands one image over.
#[derive(Default)]
struct Hatch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// An image, or why it is damaged.
    image: Option<Result<Moment, String>>,
    bytes: Vec<u8>,
    /// Why the stream ended.
    end: Option<String>,
    closed: bool,
}

impl Hatch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http {
    /// Begins to connect; what comes of it shows in the first `next`.
    pub(super) fn open(url: &str) -> Result<Self, CameraError> {
        let address = Address::parse(url)?;
        let name = address.name();
        let agent: Agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(true)
            .max_redirects(REDIRECTS)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("shelfwatch/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .timeout_per_write(Some(PATIENCE))
            .build()
            .into();
        let hatch = Arc::new(Hatch::default());
        let (far, caller) = (Arc::clone(&hatch), agent.clone());
        let thread = thread::Builder::new().name("http-camera".to_owned()).spawn(move || {
            let end = read(&caller, &address, &far);
            far.lock().end = Some(end);
            far.changed.notify_all();
        });
        let thread = thread.map_err(|error| lost(&name, format!("no thread to read it ({error}); free memory")))?;
        Ok(Self { name, hatch, agent, thread: Some(thread) })
    }
}

impl Camera for Http {
    fn next(&mut self, timeout: Duration, into: &mut Capture) -> Result<(), CameraError> {
        let begun = Instant::now();
        let mut state = self.hatch.lock();
        loop {
            if let Some(image) = state.image.take() {
                into.clear();
                mem::swap(&mut into.bytes, &mut state.bytes);
                drop(state);
                self.hatch.changed.notify_all();
                into.taken = image.map_err(|reason| CameraError::Damaged {
                    camera: self.name.clone(),
                    reason: format!("{reason}; check the network"),
                })?;
                return Ok(());
            }
            if let Some(reason) = &state.end {
                return Err(lost(&self.name, reason.clone()));
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(CameraError::NoImage { waited: timeout });
            }
            (state, _) = self.hatch.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.hatch.lock().closed = true;
        self.hatch.changed.notify_all();
        self.agent.clone().shutdown();
        // A connection that is being made cannot be interrupted; its thread ends by itself within `PATIENCE`.
        let begun = Instant::now();
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            if begun.elapsed() >= GRACE {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        _ = thread.join();
    }
}

/// Reads the stream until it ends or the camera is closed; returns why.
fn read(agent: &Agent, address: &Address, hatch: &Hatch) -> String {
    let mut request = agent.get(&address.url);
    if let Some(authorization) = &address.authorization {
        request = request.header("Authorization", authorization);
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(error) => return explain(&error),
    };
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let Some(boundary) = boundary(kind) else {
        let kind: String = kind.chars().take(80).collect();
        return format!(
            "it sends `{kind}` where `multipart/x-mixed-replace` with a boundary is needed; \
             use the address of the camera's Motion JPEG stream, or a command such as ffmpeg"
        );
    };
    let mut parts = Multipart::new(&boundary);
    let mut body = response.into_body().into_reader();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = Vec::new();
    loop {
        match body.read(&mut chunk) {
            Ok(0) => return "the server ended the stream; check whether it has restarted".to_owned(),
            Ok(count) => parts.push(&chunk[..count]),
            Err(error) => return format!("reading failed ({error}); check the camera and the network"),
        }
        loop {
            let image = match parts.next(&mut bytes) {
                Part::Short => break,
                Part::Closed => return "the server closed the stream; check whether it has restarted".to_owned(),
                Part::Broken(reason) => return format!("{reason}; check the network and the camera's software"),
                Part::Whole(_) if bytes.is_empty() => continue,
                Part::Whole(began) => jpeg_walk::is_whole(&bytes).map(|()| began).map_err(str::to_owned),
            };
            if !hand_over(hatch, image, &mut bytes) {
                return "it was closed".to_owned();
            }
        }
    }
}

/// Waits until the image before was fetched; `false` when the camera was closed.
fn hand_over(hatch: &Hatch, image: Result<Moment, String>, bytes: &mut Vec<u8>) -> bool {
    let mut state = hatch.lock();
    while state.image.is_some() && !state.closed {
        state = hatch.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    mem::swap(&mut state.bytes, bytes);
    state.image = Some(image);
    let open = !state.closed;
    drop(state);
    hatch.changed.notify_all();
    open
}

fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(401 | 403) => {
            "it refuses access; write http://user:password@host/path, special characters as %40".to_owned()
        }
        ureq::Error::StatusCode(404) => "there is nothing at this address (status 404); check the path".to_owned(),
        ureq::Error::StatusCode(code) => format!("it answers with status {code}; check the address and the camera"),
        ureq::Error::HostNotFound => "its host is unknown; check the name, or give the address as numbers".to_owned(),
        ureq::Error::RequireHttpsOnly(_) | ureq::Error::Tls(_) => {
            "it redirects to https, which is not spoken here; use a command such as ffmpeg".to_owned()
        }
        other => format!("it cannot be reached ({other}); check address, cable and power"),
    }
}
