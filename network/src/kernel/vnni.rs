//! Products of bytes for x86-64 with AVX-VNNI; all else as with AVX2. `vpdpbusd` adds four products at once onto sums
//! of 32 bits and takes the left values without sign: they enter as x + 128, and what that adds comes off the start.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::asm;
use std::arch::x86_64::{__m256i, _mm256_dpbusd_avx_epi32, _mm256_loadu_si256, _mm256_set1_epi8};

use super::avx2_panel::{COLUMNS, ROWS, Totals, integer_products, panels};
use super::{Bytes, Finish, Kernels, Operands, Shape, avx2};

/// No Winograd for bytes, which `Bytes::Raised` rules out: for a 3×3 window it takes 16/36 of the products, but as
/// pairs of 16 bits, half as many in one instruction; what is left to gain, a ninth, goes into its transforms.
pub(super) static KERNELS: Kernels =
    Kernels { shape: SHAPE, bytes: Bytes::Raised(tile, strip), sliding: None, ..avx2::KERNELS };

/// Twelve sums, two vectors of weights, one of left values and the constant that raises them: all 16 registers.
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

integer_products!("avx2,fma,avxvnni", i8);
