//! Products of bytes for x86-64 with AVX-VNNI; all else as with AVX2. `vpdpbusd` adds four products at once onto sums
//! of 32 bits and takes the left values without sign: they enter as x + 128, and what that adds comes off the start.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm256_dpbusd_avx_epi32, _mm256_loadu_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::avx2_panel::{Totals, panels};
use super::{Bytes, Finish, Kernels, Operands, Shape, avx2, avx2_finish};

/// No Winograd for bytes, which `Bytes::Raised` rules out: for a 3×3 window it takes 16/36 of the products, but as
/// pairs of 16 bits, half as many in one instruction; what is left to gain, a ninth, goes into its transforms.
pub(super) static KERNELS: Kernels =
    Kernels { shape: SHAPE, bytes: Bytes::Raised(tile, strip), sliding: None, ..avx2::KERNELS };

/// Twelve sums, two vectors of weights, one of left values and the constant that raises them: all 16 registers.
const ROWS: usize = 6;
const COLUMNS: usize = 16;
const SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 4, fill: 4 };

/// Adds R rows times 16 columns onto `totals`. That is exact: from its start b − (zero + 128)·Σw to its end
/// b + Σ(x − zero)·w a sum stays within |b| + 255·Σ|w|, which the program's check leaves room for in 32 bits.
///
/// # Safety
/// Row r holds `4 · groups` values at `left + r · stride`, `right` holds `64 · groups`.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn multiply_add<const R: usize>(
    mut totals: Totals<__m256i, R>,
    left: *const i8,
    stride: usize,
    right: *const i8,
    groups: usize,
) -> Totals<__m256i, R> {
    // The highest bit turned over is 128 more, as a byte without sign.
    let raise = _mm256_set1_epi8(i8::MIN);
    // SAFETY: as the caller promises.
    unsafe {
        let mut columns = right;
        for group in 0..groups {
            let (w0, w1) = (_mm256_loadu_si256(columns.cast()), _mm256_loadu_si256(columns.add(32).cast()));
            for (r, total) in totals.iter_mut().enumerate() {
                let four = raised(left.add(r * stride + 4 * group), raise);
                total[0] = _mm256_dpbusd_avx_epi32(total[0], four, w0);
                total[1] = _mm256_dpbusd_avx_epi32(total[1], four, w1);
            }
            columns = columns.add(4 * COLUMNS);
        }
    }
    totals
}

/// Four values, spread by the load and then raised. The compiler would do it the other way round, and need an
/// instruction more to spread them.
///
/// # Safety
/// `from` points to four values.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn raised(from: *const i8, raise: __m256i) -> __m256i {
    let four: __m256i;
    // SAFETY: it reads what the caller promises.
    unsafe {
        asm!("vpbroadcastd {0}, dword ptr [{1}]", "vpxor {0}, {0}, {2}",
            out(ymm_reg) four, in(reg) from, in(ymm_reg) raise,
            options(pure, readonly, nostack, preserves_flags));
    }
    four
}

#[target_feature(enable = "avx2,fma,avxvnni")]
fn tile(operands: &Operands<'_, i8, i8, i32>, sums: &mut [i32]) {
    operands.check(SHAPE, sums);
    // SAFETY: asserted above.
    unsafe { panels!(operands.rows, tile_panel(operands, sums.as_mut_ptr())) }
}

/// # Safety
/// `operands` is checked, and `sums` holds 16 values per row.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn tile_panel<const R: usize>(first: usize, operands: &Operands<'_, i8, i8, i32>, sums: *mut i32) {
    let Operands { left, stride, right, length, start, .. } = *operands;
    // SAFETY: as the caller promises.
    unsafe {
        let mut totals = [[_mm256_setzero_si256(); 2]; R];
        for (r, total) in totals.iter_mut().enumerate() {
            let place = start.map_or(sums.add((first + r) * COLUMNS).cast_const(), <[i32]>::as_ptr);
            *total = [_mm256_loadu_si256(place.cast()), _mm256_loadu_si256(place.add(8).cast())];
        }
        let totals = multiply_add(totals, left.as_ptr().add(first * stride), stride, right.as_ptr(), length / 4);
        for (r, total) in totals.into_iter().enumerate() {
            let place = sums.add((first + r) * COLUMNS);
            _mm256_storeu_si256(place.cast(), total[0]);
            _mm256_storeu_si256(place.add(8).cast(), total[1]);
        }
    }
}

#[target_feature(enable = "avx2,fma,avxvnni")]
fn strip(operands: &Operands<'_, i8, i8, i32>, finish: &Finish<'_>, out: &mut [i8]) {
    let bias = operands.start.unwrap_or_default();
    operands.check_reading(SHAPE);
    finish.check(COLUMNS, operands.rows, out);
    assert!(bias.len() >= COLUMNS, "too few columns");
    // SAFETY: asserted above.
    unsafe { panels!(operands.rows, strip_panel(operands, bias.as_ptr(), finish, out.as_mut_ptr())) }
}

/// # Safety
/// `operands` is checked, `bias` and the factors hold 16 values, `out` holds `columns` values for each row.
#[inline]
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn strip_panel<const R: usize>(
    first: usize,
    operands: &Operands<'_, i8, i8, i32>,
    bias: *const i32,
    finish: &Finish<'_>,
    out: *mut i8,
) {
    let Operands { left, stride, right, length, .. } = *operands;
    // SAFETY: as the caller promises.
    unsafe {
        let bias = [_mm256_loadu_si256(bias.cast()), _mm256_loadu_si256(bias.add(8).cast())];
        let left = left.as_ptr().add(first * stride);
        let totals = multiply_add([bias; R], left, stride, right.as_ptr(), length / 4);
        avx2_finish::rows(&totals, finish, out.add(first * finish.stride));
    }
}
