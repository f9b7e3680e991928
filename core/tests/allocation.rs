//! The core allocates nothing: neither while it parses good and hostile files nor while it scores.

mod maker;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use maker::{complete, put, seal};
use shelfwatch_core::{ScoreKind, Shelf};

struct Counting;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts and passes on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
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

fn allocated(work: impl FnOnce()) -> usize {
    let before = BYTES.with(Cell::get);
    work();
    BYTES.with(Cell::get) - before
}

#[test]
fn parsing_and_scoring_allocate_nothing() {
    let file = complete().file();
    let (feature, logits, map) = ([3.0, 4.0, 5.0], [1.0, 3.0], [0.5; 12]);
    let (mut scratch, mut heat) = ([0.0; 6], [0.0; 4]);
    let bytes = allocated(|| {
        let shelf = Shelf::parse(&file).expect("the file is good");
        for kind in ScoreKind::ALL {
            assert!(shelf.single(kind, &feature, &logits, &mut scratch).is_ok());
        }
        assert!(shelf.score(&feature, &logits, &mut scratch).is_ok());
        assert!(shelf.heat_map(&map, &mut scratch, &mut heat).is_ok());
        assert!(shelf.p_value(0.5) > 0.0 && shelf.golden().iter().count() == 2);
    });
    assert_eq!(bytes, 0);
    assert!(allocated(|| drop(vec![0_u8; 100])) >= 100, "the counter counts");
}

#[test]
fn refusing_allocates_nothing() {
    let file = complete().file();
    let (mut most, mut parsed) = (0, 0);
    for at in 0..file.len() {
        let mut altered = file.clone();
        put(&mut altered, at, &[0xff]);
        most = most.max(allocated(|| parsed += usize::from(Shelf::parse(&altered).is_ok())));
        seal(&mut altered);
        most = most.max(allocated(|| parsed += usize::from(Shelf::parse(&altered).is_ok())));
    }
    assert_eq!(most, 0);
    assert!(parsed < 2 * file.len(), "most of them are refused");
}
