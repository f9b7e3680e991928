//! From the camera's raw bytes to the tensor, buffers are reused: counted by the allocator itself, alone in its binary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unsafe_code, reason = "an allocator that counts can only be written so")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use shelfwatch::capture::{Capture, PixelFormat};
use shelfwatch::frame::Frame;
use shelfwatch::intake;
use shelfwatch::preprocess::{Preprocess, Recipe};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged; only counters are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Number of allocations of one frame in steady state, and the largest of them in bytes.
fn steady(recipe: &str, frame: &Frame) -> (usize, usize) {
    let mut preprocess = Preprocess::new(&Recipe::from_toml(recipe).unwrap());
    counted(|| {
        preprocess.run(frame).unwrap();
    })
}

/// The same from the bytes of a camera on, a region of them cut out.
fn steady_from_camera(recipe: &str, capture: &Capture) -> (usize, usize) {
    let recipe = Recipe::from_toml(recipe).unwrap();
    let mut preprocess = Preprocess::new(&recipe);
    let mut pixels = Vec::new();
    counted(|| {
        let frame = intake::capture(capture, Some([20, 40, 600, 400]), &recipe, std::mem::take(&mut pixels)).unwrap();
        preprocess.run(&frame).unwrap();
        pixels = frame.into_rgb();
    })
}

/// Allocations of the third run.
fn counted(mut run: impl FnMut()) -> (usize, usize) {
    run();
    run();
    COUNT.store(0, Ordering::Relaxed);
    LARGEST.store(0, Ordering::Relaxed);
    run();
    (COUNT.load(Ordering::Relaxed), LARGEST.load(Ordering::Relaxed))
}

#[test]
fn steady_state_allocates_no_picture() {
    let frame = Frame::new(640, 480, vec![77; 640 * 480 * 3]).unwrap();
    assert_eq!(steady("size = [640, 480]", &frame), (0, 0));
    assert_eq!(steady("size = [128, 128]\nroi = [100, 50, 128, 128]", &frame), (0, 0));
    // The resampling library makes its weight tables anew each time: some per output row and column, none large.
    for resize in ["resize = \"stretch\"", "resize = \"shorter-side\"\nshorter_side = 256", "resize = \"letterbox\""] {
        let (count, largest) = steady(&format!("size = [224, 224]\nroi = [10, 10, 600, 400]\n{resize}"), &frame);
        println!("{resize:?}: {count} allocations, the largest of {largest} bytes");
        assert!(count < 2000 && largest < 64 * 1024, "{resize}: {count} allocations, largest {largest}");
    }
    let bytes: Vec<u8> = (0..640 * 480 * 3).map(|i| i as u8).collect();
    for (format, stride) in
        [(PixelFormat::Yuyv, 1280), (PixelFormat::Nv12, 640), (PixelFormat::Grey, 640), (PixelFormat::Rgb24, 1920)]
    {
        let capture = Capture { format, width: 640, height: 480, stride, bytes: bytes.clone(), ..Capture::empty() };
        // A draft is for JPEGs: it changes nothing here.
        for draft in ["", "\ndraft = true"] {
            let (count, largest) = steady_from_camera(&format!("size = [224, 224]{draft}"), &capture);
            assert!(count < 2000 && largest < 64 * 1024, "{}: {count}, largest {largest}", format.name());
        }
        assert_eq!(steady_from_camera("size = [600, 400]", &capture), (0, 0), "{}", format.name());
    }
}
