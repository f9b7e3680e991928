//! Reading statistics never allocates more than four times the bytes given, whatever they claim.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use shelfwatch::method::{Provenance, Statistics};

/// The system's allocator, counting what is allocated at the same time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most that reading these bytes holds at once.
fn peak(bytes: &[u8]) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    drop(Statistics::from_bytes(bytes));
    PEAK.load(Ordering::Relaxed) - before
}

fn file(dim: usize, logits: usize, classes: usize, images: u64) -> Vec<u8> {
    let labels = (0..classes).map(|class| format!("c{class:05}")).collect();
    let mut statistics = Statistics::new(dim, logits, labels).unwrap();
    statistics.set_provenance(Provenance { recipe: "r".repeat(100), ..Provenance::default() });
    for key in 0..images {
        let label = (classes > 0).then_some(key as usize % classes.max(1));
        statistics.add(key, &vec![key as f32; dim], &vec![1.0; logits], label).unwrap();
    }
    statistics.to_bytes()
}

/// One test, because the counters are the process's.
#[test]
fn reading_allocates_at_most_four_times_the_file() {
    for (dim, logits, classes, images) in
        [(2, 0, 0, 1), (2, 0, 0, 3000), (2, 0, 3000, 10), (64, 10, 10, 100), (700, 0, 0, 3)]
    {
        let bytes = file(dim, logits, classes, images);
        let held = peak(&bytes);
        assert!(held <= 4 * bytes.len(), "{dim} channels, {classes} classes: {held} for {} bytes", bytes.len());
        assert!(Statistics::from_bytes(&bytes).is_ok());
    }
    // Every byte of prefix and header set high, alone and with its neighbours: absurd dimensions, counts and lengths.
    let bytes = file(3, 2, 2, 5);
    for start in 10..250 {
        for len in 1..6 {
            let mut bytes = bytes.clone();
            bytes[start..start + len].fill(0xff);
            if len > 1 {
                bytes[start + len - 1] = 0x0f;
            }
            let end = bytes.len() - 4;
            let checksum = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
            for cut in [bytes.len(), 300, 64, 20] {
                let held = peak(&bytes[..cut]);
                assert!(held <= 4 * cut, "bytes {start}+{len}, cut to {cut}: {held}");
            }
        }
    }
}
