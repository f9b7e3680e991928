//! Stations that read raw images from pipes which the test fills, one image at a time.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use shelfwatch::capture::{Capture, Moment, PixelFormat};
use shelfwatch::frame::Frame;
use shelfwatch::parts::{Product, SIDE, Subject, draw};

use crate::drawn::{fit, good};

/// A device in a folder of its own.
pub(crate) struct Device {
    pub(crate) folder: tempfile::TempDir,
    address: SocketAddr,
    text: String,
}

impl Device {
    /// Fits a shelf; without stations yet.
    pub(crate) fn new(journal: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "fit", "calibrate"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        good(&folder.path().join("fit"), 12, 1);
        good(&folder.path().join("calibrate"), 10, 2);
        let calibrate = folder.path().join("calibrate");
        let more = ["--calibrate", calibrate.to_str().unwrap(), "--alpha-reject", "0.05", "--alpha-review", "0.1"];
        let answer = fit(&folder.path().join("fit"), &folder.path().join("a.shelf"), &more);
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
        // The port is free again when the daemon wants it, and hardly anybody takes it meanwhile.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "site = \"s\"\ndevice = \"d\"\nstate = \"state\"\n[web]\nlisten = \"{address}\"\n[journal]\n{journal}\n"
        );
        Self { folder, address, text }
    }

    /// One more station, on images of that format and size.
    pub(crate) fn station(&mut self, name: &str, [format, more]: [&str; 2], [width, height]: [u32; 2]) {
        let pipe = self.pipe(name);
        let path = CString::new(pipe.as_os_str().as_bytes()).unwrap();
        #[expect(unsafe_code, reason = "the standard library makes no pipes with names")]
        // SAFETY: the path is a string that ends with a zero and lives until the call is over.
        let made = unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
        assert_eq!(made, 0);
        let more = format!(
            "[[station]]\nname = \"{name}\"\nshelf = \"a.shelf\"\ntimeout_ms = 600_000\ndeadline_ms = 600_000\n{more}\n\
             [station.source.command]\ncommand = [\"cat\", \"{}\"]\n\
             frames = {{ raw = {{ format = \"{format}\", width = {width}, height = {height} }} }}\n",
            pipe.display()
        );
        self.text.push_str(&more);
    }

    /// Writes the configuration.
    pub(crate) fn config(&self) -> PathBuf {
        let path = self.folder.path().join("station.toml");
        fs::write(&path, &self.text).unwrap();
        path
    }

    fn pipe(&self, station: &str) -> PathBuf {
        self.folder.path().join(format!("{station}.pipe"))
    }

    /// The pipe's other end; waits until the station reads it.
    pub(crate) fn feeder(&self, station: &str) -> File {
        OpenOptions::new().write(true).open(self.pipe(station)).unwrap()
    }

    /// The sum of all samples of the metric whose labels contain those words.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let samples = answer.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        let values = samples.filter(|sample| sample.contains(labels)).filter_map(|sample| sample.rsplit(' ').next());
        Some(values.filter_map(|value| value.parse::<f64>().ok()).sum::<f64>() as u64)
    }

    /// Images that a station has judged or dropped.
    pub(crate) fn done(&self, station: &str) -> u64 {
        let labels = format!("station=\"{station}\"");
        let count = |name: &str| self.metric(name, &labels).unwrap_or_default();
        count("shelfwatch_parts_total") + count("shelfwatch_frames_dropped_total")
    }

    /// Waits until a station has judged or dropped as many.
    pub(crate) fn wait(&self, station: &str, count: u64) {
        let begun = Instant::now();
        while self.done(station) < count {
            assert!(begun.elapsed() < Duration::from_mins(2), "{} of {count} images", self.done(station));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Drawn good parts.
pub(crate) fn parts(count: u64) -> Vec<Frame> {
    let products = Product::ALL.into_iter().cycle();
    products.zip(0..count).map(|(product, i)| draw(Subject::Product(product), (7 << 32) | i, SIDE).frame).collect()
}

/// A frame as an image of a camera of that format and size, enlarged about the centre without smoothing.
pub(crate) fn capture(frame: &Frame, format: PixelFormat, [width, height]: [u32; 2]) -> Capture {
    let (times, side) = (height / frame.height(), frame.width());
    let left = (width - side * times) / 2;
    let pixel = |x: u32, y: u32| -> [i32; 3] {
        let (x, y) = ((x.saturating_sub(left) / times).min(side - 1), (y / times).min(frame.height() - 1));
        let at = (y * side + x) as usize * 3;
        [0, 1, 2].map(|i| i32::from(frame.rgb()[at + i]))
    };
    let luma = |[r, g, b]: [i32; 3]| (16 + ((66 * r + 129 * g + 25 * b + 128) >> 8)) as u8;
    let u = |[r, g, b]: [i32; 3]| (128 + ((-38 * r - 74 * g + 112 * b + 128) >> 8)) as u8;
    let v = |[r, g, b]: [i32; 3]| (128 + ((112 * r - 94 * g - 18 * b + 128) >> 8)) as u8;
    let mut bytes = Vec::new();
    for y in 0..height {
        if format == PixelFormat::Rgb24 {
            bytes.extend((0..width).flat_map(|x| pixel(x, y).map(|level| level as u8)));
        } else {
            bytes.extend((0..width).step_by(2).flat_map(|x| {
                let [first, second] = [pixel(x, y), pixel(x + 1, y)];
                [luma(first), u(first), luma(second), v(first)]
            }));
        }
    }
    let stride = width * if format == PixelFormat::Rgb24 { 3 } else { 2 };
    Capture { format, width, height, stride, bytes, taken: Moment::now(), trigger: None, file: None }
}
