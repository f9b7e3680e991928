//! Pulses allocate nothing once the scheduler runs, whatever thread does the work.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use embedded_hal::digital::{ErrorType, OutputPin};
use shelfwatch::alert::gpio::{CAPACITY, Heartbeat, Output, OutputId, PulseShape, Pulses};
use shelfwatch::capture::monotonic;
use shelfwatch::config::LateResult;

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts and passes on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::SeqCst);
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

struct Silent;

impl ErrorType for Silent {
    type Error = Infallible;
}

impl OutputPin for Silent {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn pulses_and_heartbeats_allocate_nothing() {
    let output = |name: &str| Output { name: name.to_owned(), pin: Silent, active_low: false };
    let width = Some(Duration::from_micros(100));
    let shape = PulseShape { delay: Duration::from_millis(300), width, late: LateResult::Now };
    let pulses = Pulses::new(vec![(output("left"), shape), (output("right"), shape)]).unwrap();
    let heart = Heartbeat::new(output("run-ok"), Duration::from_millis(2)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let before = COUNT.load(Ordering::SeqCst);
    for _ in 0..3 {
        let from = monotonic();
        for i in 0..CAPACITY {
            let from = from + Duration::from_micros(200 * i as u64);
            assert!(pulses.schedule(OutputId(i % 2), from).is_ok());
            heart.allow(Instant::now() + Duration::from_secs(1));
        }
        assert!(pulses.drain(Duration::from_secs(20)));
    }
    heart.stop("the station has not begun");
    let allocated = COUNT.load(Ordering::SeqCst) - before;
    assert_eq!(allocated, 0, "{} pulses", pulses.counts().scheduled);
    assert_eq!(pulses.counts().scheduled, 3 * CAPACITY as u64);
    drop(vec![0_u8; 100]);
    assert!(COUNT.load(Ordering::SeqCst) > before, "the counter counts");
}
