//! The daemon's memory stays flat: raw images as fast as it judges them, one in a hundred a stranger, with journal,
//! archive and metrics. `SHELFWATCH_FRAMES=100000 cargo test --release --test station_memory -- --nocapture` runs longer.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
mod piped;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use piped::{Device, capture, parts};
use shelfwatch::capture::PixelFormat;
use shelfwatch::parts::{SIDE, Stranger, Subject, draw};

/// Images before the first measurement: buffers, caches and the allocator's pools have their size then.
const WARM: u64 = 1000;
/// Images on the way at a time; fewer than the queue holds, so that none is dropped.
const AHEAD: u64 = 3;
/// Growth that is let pass, in kilobytes: the page caches of the journal's two connections, which SQLite fills to 2 MB
/// each over some 50,000 images. An image lost in a hundred would be more: 27 MB over 100,000.
const TOLERANCE: u64 = 4096;
/// Growth that is let pass over the second half of a long run, when the caches are full.
const AT_REST: u64 = 1024;

/// Ends the daemon whatever happens to the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A line of a file under `/proc` that begins with the key, in kilobytes.
fn kilobytes(path: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn memory_is_flat() {
    let frames: u64 = std::env::var("SHELFWATCH_FRAMES").map_or(5000, |count| count.parse().unwrap());
    let mut device = Device::new("keep_every = 100\nimage_megabytes = 10");
    device.station("a", ["rgb24", ""], [SIDE, SIDE]);
    let good: Vec<Vec<u8>> =
        parts(99).iter().map(|frame| capture(frame, PixelFormat::Rgb24, [SIDE, SIDE]).bytes).collect();
    let strange: Vec<Vec<u8>> = Stranger::all()
        .zip(0..)
        .map(|(stranger, seed)| draw(Subject::Stranger(stranger), seed, SIDE).frame.into_rgb())
        .collect();
    let mut daemon = Daemon(
        Command::new(env!("CARGO_BIN_EXE_shelfwatch"))
            .args(["run", "--log", "warn", "--config"])
            .arg(device.config())
            .spawn()
            .unwrap(),
    );
    let status = PathBuf::from(format!("/proc/{}/status", daemon.0.id()));
    let memory = || ["RssAnon", "VmRSS"].map(|key| kilobytes(&status, key));
    let mut feeder = device.feeder("a");
    let (mut warm, mut half, begun) = ([0; 2], 0, Instant::now());
    for number in 0..frames {
        let image = match number % 100 {
            99 => &strange[(number / 100) as usize % strange.len()],
            number => &good[number as usize],
        };
        feeder.write_all(image).unwrap();
        device.wait("a", number.saturating_sub(AHEAD - 1));
        if number == WARM {
            warm = memory();
        }
        if number == frames / 2 {
            half = memory()[0];
        }
        if number % 10_000 == 0 {
            println!("{number} images: {} kB of its own, {} kB in all", memory()[0], memory()[1]);
        }
    }
    device.wait("a", frames);
    let end = memory();
    let seconds = begun.elapsed().as_secs_f64();
    let count = |verdict: &str| {
        device.metric("shelfwatch_parts_total", &format!("station=\"a\",verdict=\"{verdict}\"")).unwrap()
    };
    println!(
        "{frames} images in {seconds:.0} s: {} passed, {} for review, {} rejected, {} faults; own memory {} kB after \
         {WARM} images and {} kB at the end, with the program's file {} kB and {} kB",
        count("pass"),
        count("review"),
        count("reject"),
        count("fault"),
        warm[0],
        end[0],
        warm[1],
        end[1],
    );
    assert_eq!(count("pass") + count("review") + count("reject"), frames, "every image was judged");
    assert!(count("reject") > 0);
    assert!(end[0] <= warm[0] + TOLERANCE, "{} kB became {} kB", warm[0], end[0]);
    if frames >= 100_000 {
        assert!(end[0] <= half + AT_REST, "{half} kB at half became {} kB", end[0]);
    }
    Command::new("kill").args(["-TERM", &daemon.0.id().to_string()]).status().unwrap();
    assert!(daemon.0.wait().unwrap().success());
}
