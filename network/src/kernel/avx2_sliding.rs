//! Products of windows that are read where they lie, for x86-64 with AVX2 and FMA.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::_mm256_loadu_si256;

use super::avx2::{COLUMNS, ROWS, multiply_add, panels};
use super::{Finish, Slide, avx2_finish};

#[target_feature(enable = "avx2,fma")]
pub(super) fn strip(slide: &Slide<'_>, finish: &Finish<'_>, out: &mut [i8]) {
    let Slide { lines, tops, step, right, length, bias } = *slide;
    let rows = finish.rows;
    let furthest = tops.iter().copied().max().unwrap_or(0);
    assert!(rows > 0 && length.is_multiple_of(2), "{rows} rows of {length}");
    assert!(lines.len() >= furthest + (rows - 1) * step + length, "lines end too soon");
    assert!(right.len() >= tops.len() * length * COLUMNS, "packed columns end too soon");
    finish.check(COLUMNS, rows, out);
    assert!(bias.len() >= COLUMNS, "too few columns");
    // SAFETY: asserted above.
    unsafe { panels!(rows, panel(slide, finish, out.as_mut_ptr())) }
}

/// Finishes R outputs from `first` on.
///
/// # Safety
/// As asserted in [`strip`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn panel<const R: usize>(first: usize, slide: &Slide<'_>, finish: &Finish<'_>, out: *mut i8) {
    let Slide { lines, tops, step, right, length, bias } = *slide;
    // SAFETY: as the caller promises.
    unsafe {
        let bias = bias.as_ptr();
        let mut totals = [[_mm256_loadu_si256(bias.cast()), _mm256_loadu_si256(bias.add(8).cast())]; R];
        for (line, top) in tops.iter().enumerate() {
            let left = lines.as_ptr().add(top + first * step);
            totals = multiply_add(totals, left, step, right.as_ptr().add(line * length * COLUMNS), length / 2);
        }
        avx2_finish::rows(&totals, finish, out.add(first * finish.stride));
    }
}
