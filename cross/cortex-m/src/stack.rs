//! How much of the stack was used: it is painted before, and what is painted no more was used.

use core::ptr;

/// What unused words hold.
const PAINT: u32 = 0xC5C5_C5C5;
/// Words below the caller's stack pointer that are left alone: this function's own.
const OWN: usize = 64;

unsafe extern "C" {
    /// End of the static data: the lowest address that the stack may reach.
    static mut __euninit: u32;
    /// Where the stack begins.
    static _stack_start: u32;
}

fn lowest() -> *mut u32 {
    &raw mut __euninit
}

/// Paints all of the stack that is not in use.
pub(crate) fn paint() {
    let top = cortex_m::register::msp::read() as usize - 4 * OWN;
    let mut at = lowest();
    while (at as usize) < top {
        // SAFETY: from the end of the static data to well below the stack pointer no variable lives; the memory is RAM.
        unsafe {
            ptr::write_volatile(at, PAINT);
            at = at.add(1);
        }
    }
}

/// Bytes of the stack that were ever used.
pub(crate) fn used() -> usize {
    let start = &raw const _stack_start as usize;
    let mut at = lowest();
    // SAFETY: reads words of the RAM between static data and the stack's beginning.
    while (at as usize) < start && unsafe { ptr::read_volatile(at) } == PAINT {
        // SAFETY: stays below the stack's beginning.
        at = unsafe { at.add(1) };
    }
    start - at as usize
}
