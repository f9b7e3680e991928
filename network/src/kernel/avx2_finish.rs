//! Bytes from integer sums for x86-64 with AVX2 and FMA.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_storel_epi64, _mm_storeu_si128, _mm256_adds_epi16, _mm256_castsi256_si128,
    _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_max_epi16, _mm256_min_ps, _mm256_mul_ps, _mm256_packs_epi16, _mm256_packs_epi32,
    _mm256_permutevar8x32_epi32, _mm256_set1_epi16, _mm256_set1_ps, _mm256_setr_epi32,
};

use super::avx2::{COLUMNS, Totals};
use super::{Finish, plain};

/// What is the same for all rows of a block of columns.
struct Rounding {
    factors: [__m256; 2],
    high: __m256,
    low: __m256i,
    zero: __m256i,
}

impl Rounding {
    /// # Safety
    /// `finish` has 16 factors.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn new(finish: &Finish<'_>) -> Rounding {
        let factors = finish.factors.as_ptr();
        Rounding {
            // SAFETY: as the caller promises.
            factors: unsafe { [_mm256_loadu_ps(factors), _mm256_loadu_ps(factors.add(8))] },
            high: _mm256_set1_ps(finish.high),
            // Rounding keeps the order: it is all the same whether the bound or the result is rounded.
            low: _mm256_set1_epi16(finish.low.round_ties_even() as i16),
            zero: _mm256_set1_epi16(i16::from(finish.zero)),
        }
    }

    /// 16 rounded values of 16 bits: channels 0–3 and 8–11, then 4–7 and 12–15.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn round(&self, sums: [__m256i; 2]) -> __m256i {
        let [w0, w1] = [0, 1].map(|half| {
            // What is too small for 32 bits becomes the smallest of them, and after packing the lower bound.
            let product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[half]), self.factors[half]);
            _mm256_cvtps_epi32(_mm256_min_ps(product, self.high))
        });
        _mm256_adds_epi16(_mm256_max_epi16(_mm256_packs_epi32(w0, w1), self.low), self.zero)
    }

    /// 16 bytes of each of two rows: `round(clamp(sum · factor)) + zero`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn bytes(&self, first: [__m256i; 2], second: [__m256i; 2]) -> [__m128i; 2] {
        let mixed = _mm256_packs_epi16(self.round(first), self.round(second));
        let both = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        [_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)]
    }
}

/// Writes R rows of bytes, the first at `out`.
///
/// # Safety
/// `finish` has 16 factors, and `out` holds `columns` values for each row.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn rows<const R: usize>(totals: &Totals<__m256i, R>, finish: &Finish<'_>, out: *mut i8) {
    // SAFETY: as the caller promises.
    unsafe {
        let rounding = Rounding::new(finish);
        for first in (0..R).step_by(2) {
            let second = (first + 1).min(R - 1);
            let both = rounding.bytes(totals[first], totals[second]);
            store(both[0], finish.columns, out.add(first * finish.stride));
            if second > first {
                store(both[1], finish.columns, out.add(second * finish.stride));
            }
        }
    }
}

/// # Safety
/// `out` holds so many values, at most 16.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store(bytes: __m128i, columns: usize, out: *mut i8) {
    // SAFETY: as the caller promises.
    unsafe {
        match columns {
            16 => _mm_storeu_si128(out.cast(), bytes),
            8 => _mm_storel_epi64(out.cast(), bytes),
            _ => {
                let mut all = [0_i8; COLUMNS];
                _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
                out.copy_from_nonoverlapping(all.as_ptr(), columns);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn requantise(sums: &[i32], finish: &Finish<'_>, out: &mut [i8]) {
    let Finish { width, rows: count, columns, factors, stride, .. } = *finish;
    if columns != COLUMNS || factors.len() < COLUMNS {
        plain::requantise(sums, finish, out);
        return;
    }
    assert!(sums.len() >= count.saturating_sub(1) * width + COLUMNS * count.min(1), "sums end too soon");
    assert!(out.len() >= count.saturating_sub(1) * stride + COLUMNS * count.min(1), "too few results");
    // SAFETY: asserted above; so many factors there are, too.
    unsafe {
        let load = |row: usize| [0, 8].map(|half| _mm256_loadu_si256(sums.as_ptr().add(row * width + half).cast()));
        for row in (0..count & !1).step_by(2) {
            rows::<2>(&[load(row), load(row + 1)], finish, out.as_mut_ptr().add(row * stride));
        }
        if count % 2 == 1 {
            rows::<1>(&[load(count - 1)], finish, out.as_mut_ptr().add((count - 1) * stride));
        }
    }
}
