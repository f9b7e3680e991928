//! A station in steady state allocates nothing of its own: its thread allocates for each part exactly what the resizing
//! library and the inference engine do for one image, which is measured beside it, and the camera's thread nothing.
//! The station is the daemon's own, on raw images from a command, with journal, metrics and all; its parts pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;
mod piped;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use piped::{Device, capture, parts};
use shelfwatch::camera;
use shelfwatch::capture::{Capture, PixelFormat};
use shelfwatch::config::{Config, Health};
use shelfwatch::detector::Detector;
use shelfwatch::device::{Plant, Sight};
use shelfwatch_core::{Judgement, Shelf};

/// Threads that are told apart.
const MOST: usize = 64;

/// Allocations of each thread, and its number in the kernel.
static COUNTS: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
static THREADS: [AtomicI32; MOST] = [const { AtomicI32::new(0) }; MOST];
static KNOWN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// This thread's place in the tables.
fn place() -> usize {
    let known = PLACE.try_with(Cell::get).unwrap_or(MOST - 1);
    if known < MOST {
        return known;
    }
    let new = KNOWN.fetch_add(1, Ordering::SeqCst).min(MOST - 1);
    #[expect(unsafe_code, reason = "the standard library does not tell the kernel's number of a thread")]
    // SAFETY: the call has no conditions.
    let number = unsafe { libc::gettid() };
    THREADS[new].store(number, Ordering::SeqCst);
    _ = PLACE.try_with(|place| place.set(new));
    new
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts and passes on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTS[place()].fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations so far of the thread of that name.
fn of_thread(name: &str) -> u64 {
    let known = KNOWN.load(Ordering::SeqCst).min(MOST);
    let named = |place: &usize| {
        let path = format!("/proc/self/task/{}/comm", THREADS[*place].load(Ordering::SeqCst));
        fs::read_to_string(path).is_ok_and(|found| found.trim() == name)
    };
    let places: Vec<usize> = (0..known).filter(named).collect();
    assert_eq!(places.len(), 1, "threads called {name}");
    COUNTS[places[0]].load(Ordering::SeqCst)
}

fn counted<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = COUNTS[place()].load(Ordering::SeqCst);
    let made = work();
    (COUNTS[place()].load(Ordering::SeqCst) - before, made)
}

/// The images that pass, and what one costs in allocations: decoding and looking at it, and reading it.
fn steady(detector: &mut Detector<'_>, captures: Vec<Capture>, roi: Option<[u32; 4]>) -> (Vec<Capture>, [u64; 2]) {
    let mut sight = Sight::new(Health::default());
    let mut pixels = Vec::new();
    let (mut passing, mut costs) = (Vec::new(), [0; 2]);
    for capture in captures {
        let (own, frame) = counted(|| {
            let frame = camera::decode(&capture, roi, std::mem::take(&mut pixels)).unwrap();
            assert!(sight.fault(&capture.bytes, &frame).is_none());
            frame
        });
        let (foreign, reading) = counted(|| detector.read(&frame).unwrap());
        pixels = frame.into_rgb();
        costs = [own, foreign];
        if reading.judgement == Judgement::Pass {
            passing.push(capture);
        }
    }
    assert!(passing.len() > 5, "{} images pass", passing.len());
    (passing, costs)
}

#[test]
fn a_station_allocates_nothing_of_its_own() {
    let mut device = Device::new("keep_every = 0");
    let (small, large, roi) = ([96, 96], [640, 480], [80, 0, 480, 480]);
    device.station("rgb", ["rgb24", ""], small);
    device.station("yuyv", ["yuyv", "roi = [80, 0, 480, 480]"], large);
    let bytes = fs::read(device.folder.path().join("a.shelf")).unwrap();
    let mut detector = Detector::new(Shelf::parse(&bytes).unwrap(), None).unwrap();
    let drawn = parts(24);
    let of = |format, size| drawn.iter().map(|frame| capture(frame, format, size)).collect();
    let lines = [
        ("rgb", steady(&mut detector, of(PixelFormat::Rgb24, small), None)),
        ("yuyv", steady(&mut detector, of(PixelFormat::Yuyv, large), Some(roi))),
    ];

    let path = device.config();
    let running = thread::spawn(move || Plant::start(&path, Config::load(&path).unwrap()).unwrap().run().unwrap());
    for (name, (images, [own, foreign])) in lines {
        println!("{name}: decoding and looking {own}, resizing and inference {foreign} allocations an image");
        assert_eq!(own, 0, "{name}");
        let mut feeder = device.feeder(name);
        let mut sent = 0;
        let mut send = |count| {
            for image in images.iter().cycle().take(count) {
                feeder.write_all(&image.bytes).unwrap();
                sent += 1;
                device.wait(name, sent);
            }
            // Some idle turns of the loop are measured too.
            thread::sleep(Duration::from_millis(350));
            [format!("station {name}"), format!("camera {name}")].map(|thread| of_thread(&thread))
        };
        // Buffers find their size with the first images.
        let before = send(4 * images.len());
        let after = send(100);
        let [station, camera] = [after[0] - before[0], after[1] - before[1]];
        println!("{name}: 100 parts: {station} allocations by the station's thread, {camera} by the camera's");
        assert_eq!((station, camera), (100 * foreign, 0), "{name}");
        let labels = format!("station=\"{name}\",verdict=\"pass\"");
        assert_eq!(device.metric("shelfwatch_parts_total", &labels), Some(4 * images.len() as u64 + 100));
    }
    signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
    running.join().unwrap();
}
