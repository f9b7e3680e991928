//! The camera: writes pictures into the loopback device, on demand or at a steady rate.
//! What is written is what a station reads: JPEG files as MJPG, raw files as YUYV.
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::gpio::Chip;
use crate::kernel::{self, Direction};

const NODE: &str = "/dev/video0";

/// Where `unplug.c` listens.
const UNPLUG: &str = "/sys/module/unplug/parameters/file";

/// How the driver is loaded, as in `init`.
const LOAD: &str = "modprobe v4l2loopback video_nr=0 exclusive_caps=1 max_buffers=4 card_label='shelfwatch camera'";

/// How long a program may hold on to a camera that was unplugged, once it is to be plugged in again.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);

/// What `open` was asked for.
#[derive(Clone)]
struct Mode {
    format: String,
    width: u32,
    height: u32,
}

/// How a part passes.
pub(crate) struct Passing {
    /// Pictures before the edge, and after.
    pub(crate) before: u32,
    pub(crate) after: u32,
    /// Microseconds around each picture.
    pub(crate) gap: u64,
    /// Microseconds that the line stays up. To a program that asks for both edges the kernel tells the level that it
    /// reads some time after: of a pulse that is shorter, only its end.
    pub(crate) high: u64,
}

#[derive(Default)]
struct State {
    device: Option<File>,
    mode: Option<Mode>,
    /// Bytes of a picture in this mode; the most for MJPG, exactly these for YUYV.
    size: usize,
    /// What a steady camera shows, in turn.
    pictures: Vec<Vec<u8>>,
    next: usize,
    rate: f64,
    unplugged: bool,
    /// Counts what was asked for, so that an older player stops.
    generation: u64,
}

/// The camera and its threads.
pub(crate) struct Camera(Arc<Mutex<State>>);

impl Camera {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::default())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the device a camera of this format, silent until something is shown. Errors while a reader holds on to
    /// another format.
    pub(crate) fn open(&self, format: &str, width: u32, height: u32) -> Result<String, String> {
        let mut state = self.state();
        if state.unplugged {
            return Err("the camera is unplugged; plug it in first".to_string());
        }
        state.stop();
        state.device = None;
        state.open(Mode { format: format.to_string(), width, height })?;
        Ok(format!("{}\n", state.size))
    }

    /// Shows a file so many times at once; the time when the last of them was there.
    pub(crate) fn show(&self, path: &Path, count: u32) -> Result<String, String> {
        let picture = read(path)?;
        let mut state = self.state();
        for _ in 0..count {
            state.write(&picture)?;
        }
        let shown = kernel::monotonic();
        state.pictures = vec![picture];
        Ok(format!("{shown}\n"))
    }

    /// Shows files in turn at a steady rate, until told otherwise. Rate 0: nothing until the next `show` or `part`.
    pub(crate) fn play(&self, rate: f64, paths: &[&str]) -> Result<String, String> {
        if !(0.0..=1000.0).contains(&rate) {
            return Err("the rate is outside 0 to 1000 pictures a second".to_string());
        }
        let pictures = paths.iter().map(|path| read(Path::new(path))).collect::<Result<_, _>>()?;
        let mut state = self.state();
        if state.device.is_none() {
            return Err("the camera has no format yet; send `camera FORMAT WIDTH HEIGHT` first".to_string());
        }
        state.stop();
        (state.pictures, state.next, state.rate) = (pictures, 0, rate);
        drop(state);
        self.play_on();
        Ok(String::new())
    }

    /// No more pictures, while the device stays what it is.
    pub(crate) fn freeze(&self) -> String {
        self.state().stop();
        String::new()
    }

    /// A part passes: its picture, the edge on the line, its picture again; then the line falls. The times right before
    /// and right after the rising edge.
    pub(crate) fn part(&self, chip: &Chip, line: &str, path: &Path, passing: &Passing) -> Result<String, String> {
        let picture = read(path)?;
        let gap = Duration::from_micros(passing.gap);
        let mut state = self.state();
        for _ in 0..passing.before {
            state.write(&picture)?;
            thread::sleep(gap);
        }
        let (early, late) = chip.pull(line, true)?;
        let falls = Instant::now() + Duration::from_micros(passing.high);
        for _ in 0..passing.after {
            thread::sleep(gap);
            state.write(&picture)?;
        }
        thread::sleep(falls.saturating_duration_since(Instant::now()));
        chip.pull(line, false)?;
        state.pictures = vec![picture];
        Ok(format!("{early} {late}\n"))
    }

    /// Pulls the camera out: no device node, and ENODEV for whoever has it open.
    pub(crate) fn unplug(&self) -> Result<String, String> {
        let mut state = self.state();
        if state.unplugged {
            return Err("the camera is unplugged already".to_string());
        }
        state.generation += 1;
        let device = match state.device.take() {
            Some(device) => device,
            None => open_node()?,
        };
        fs::write(UNPLUG, device.as_raw_fd().to_string()).map_err(|e| format!("cannot unplug {NODE}: {e}"))?;
        state.unplugged = true;
        Ok(String::new())
    }

    /// Brings the camera back as it was, playing what it played. Errors while a program holds on to the old one.
    pub(crate) fn plug(&self) -> Result<String, String> {
        let mut state = self.state();
        if !state.unplugged {
            return Err("the camera is plugged in".to_string());
        }
        let end = Instant::now() + PATIENCE;
        while Path::new("/sys/module/v4l2loopback").exists() && run("rmmod v4l2loopback").is_err() {
            if Instant::now() > end {
                return Err("a program still holds on to the camera that was unplugged".to_string());
            }
            thread::sleep(RETRY);
        }
        fs::write(UNPLUG, "-1").map_err(|e| format!("cannot forget the unplugged camera: {e}"))?;
        run(LOAD)?;
        state.unplugged = false;
        if let Some(mode) = state.mode.clone() {
            state.open(mode)?;
        }
        drop(state);
        self.play_on();
        Ok(String::new())
    }

    /// A thread that shows the pictures in turn, as long as nothing else is asked for.
    fn play_on(&self) {
        let state = self.state();
        if state.rate == 0.0 || state.pictures.is_empty() {
            return;
        }
        let (generation, period) = (state.generation, Duration::from_secs_f64(1.0 / state.rate));
        drop(state);
        let shared = Arc::clone(&self.0);
        thread::spawn(move || {
            let mut due = Instant::now();
            loop {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if state.generation != generation {
                    return;
                }
                if let Err(error) = state.write_next() {
                    eprintln!("factory-agent: the camera stops: {error}");
                    return;
                }
                drop(state);
                // A camera that is late shows its next picture late; it does not catch up.
                due = (due + period).max(Instant::now());
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
    }
}

impl State {
    fn stop(&mut self) {
        self.generation += 1;
        self.rate = 0.0;
    }

    fn open(&mut self, mode: Mode) -> Result<(), String> {
        let device = open_node()?;
        let room = kernel::set_format(&device, Direction::Output, fourcc(&mode.format)?, mode.width, mode.height)
            .map_err(|e| format!("{NODE}, {} × {} {}: {e}", mode.width, mode.height, mode.format))?;
        let pixels = mode.width as usize * mode.height as usize;
        // The driver rounds up to whole pages.
        self.size = match mode.format.as_str() {
            "YUYV" => 2 * pixels,
            "GREY" => pixels,
            _ => room,
        };
        kernel::announce(&device).map_err(|e| format!("{NODE} does not become a camera: {e}"))?;
        (self.device, self.mode) = (Some(device), Some(mode));
        Ok(())
    }

    fn write(&mut self, picture: &[u8]) -> Result<(), String> {
        let device =
            self.device.as_mut().ok_or("the camera has no format yet; send `camera FORMAT WIDTH HEIGHT` first")?;
        let fits = match self.mode.as_ref().map(|mode| mode.format.as_str()) {
            Some("MJPG") => picture.len() <= self.size && picture.starts_with(&[0xFF, 0xD8]),
            _ => picture.len() == self.size,
        };
        if !fits {
            return Err(format!("a picture of {} bytes does not fit the camera's format", picture.len()));
        }
        device.write_all(picture).map_err(|e| format!("cannot write to {NODE}: {e}"))
    }

    fn write_next(&mut self) -> Result<(), String> {
        let pictures = std::mem::take(&mut self.pictures);
        let done = self.write(&pictures[self.next % pictures.len()]);
        self.next += 1;
        self.pictures = pictures;
        done
    }
}

fn open_node() -> Result<File, String> {
    File::options().read(true).write(true).open(NODE).map_err(|e| format!("cannot open {NODE}: {e}"))
}

/// A format's name as V4L2 spells it.
pub(crate) fn fourcc(name: &str) -> Result<[u8; 4], String> {
    match name {
        "MJPG" | "YUYV" | "GREY" => Ok([0, 1, 2, 3].map(|i| name.as_bytes()[i])),
        _ => Err(format!("`{name}` is no format known here; use MJPG, YUYV or GREY")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn run(command: &str) -> Result<(), String> {
    let output = Command::new("/bin/sh").args(["-c", command]).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{command}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
