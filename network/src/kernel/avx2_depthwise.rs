//! Depthwise convolutions of bytes for x86-64 with AVX2 and FMA: taps in pairs, their channels interleaved for `vpmaddwd`.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_packs_epi16, _mm_storeu_si128, _mm256_add_epi32, _mm256_adds_epi16,
    _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256,
    _mm256_loadu_si256, _mm256_loadu2_m128, _mm256_loadu2_m128i, _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_packs_epi32, _mm256_set1_epi16, _mm256_set1_ps, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::{DepthwiseRow, plain};

/// Outputs that are computed together, where a row has as many.
const MANY: usize = 4;

/// Where each block of 16 channels begins; the last may overlap the one before.
fn blocks(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels.div_ceil(16)).map(move |block| (block * 16).min(channels - 16))
}

/// By block of 16 channels and pair of taps, in the order in which the instructions interleave bytes.
pub(super) fn pack(weights: &[i8], taps: usize, channels: usize) -> Vec<i16> {
    if channels < 16 {
        return weights.iter().map(|&w| i16::from(w)).collect();
    }
    let mut packed = vec![];
    for start in blocks(channels) {
        for tap in (0..taps).step_by(2) {
            for c in [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15] {
                for tap in [tap, tap + 1] {
                    packed.push(if tap < taps { i16::from(weights[tap * channels + start + c]) } else { 0 });
                }
            }
        }
    }
    packed
}

/// 16 channels of one tap as 16 bits each.
///
/// # Safety
/// `from` points to 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load(from: *const i8) -> __m256i {
    // SAFETY: as the caller promises.
    unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())) }
}

/// Adds the products of one pair of taps, whose weights begin at `weights`.
///
/// # Safety
/// Both places hold 16 bytes, `weights` 32 values.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn pair(sums: [__m256i; 2], first: *const i8, second: *const i8, weights: *const i16) -> [__m256i; 2] {
    // SAFETY: as the caller promises.
    unsafe {
        let (first, second) = (load(first), load(second));
        let low = _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), _mm256_loadu_si256(weights.cast()));
        let high = _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second), _mm256_loadu_si256(weights.add(16).cast()));
        [_mm256_add_epi32(sums[0], low), _mm256_add_epi32(sums[1], high)]
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn bytes(row: &DepthwiseRow<'_, i8, i16, i32>, out: &mut [i8]) {
    let DepthwiseRow { input, taps, step, count, channels, weights, bias, factors, .. } = *row;
    if channels < 16 {
        plain::depthwise(row, out);
        return;
    }
    let furthest = taps.iter().copied().max().unwrap_or(0);
    let pairs = taps.len().div_ceil(2);
    assert!(count > 0 && input.len() >= furthest + (count - 1) * step + channels, "input ends too soon");
    assert!(weights.len() >= channels.div_ceil(16) * pairs * 32, "packed weights end too soon");
    assert!(bias.len() >= channels && factors.len() >= channels && out.len() >= count * channels, "too few channels");
    // SAFETY: blocks end at or before `channels`; the assertions hold every address below inside its slice.
    unsafe {
        let out = out.as_mut_ptr();
        match taps.len() {
            9 => blocks_of::<9>(row, out),
            25 => blocks_of::<25>(row, out),
            _ => blocks_of::<0>(row, out),
        }
    }
}

/// Runs over the outputs, several at once, of which the last may overlap those before. The window has T taps, any number where T
/// is 0.
///
/// # Safety
/// The row is checked, and `out` holds its results.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn blocks_of<const T: usize>(row: &DepthwiseRow<'_, i8, i16, i32>, out: *mut i8) {
    let mut at = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while at < row.count && row.count >= MANY {
            let first = at.min(row.count - MANY);
            outputs::<T, MANY>(row, first, out);
            at = first + MANY;
        }
        while at < row.count {
            outputs::<T, 1>(row, at, out);
            at += 1;
        }
    }
}

/// Computes P outputs from `at` on.
///
/// # Safety
/// As [`blocks_of`]; the row has P outputs from `at` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn outputs<const T: usize, const P: usize>(row: &DepthwiseRow<'_, i8, i16, i32>, at: usize, out: *mut i8) {
    let DepthwiseRow { input, taps, step, channels, weights, bias, factors, low, high, zero, .. } = *row;
    let (low, high, zero) = (_mm256_set1_ps(low), _mm256_set1_ps(high), _mm256_set1_epi16(i16::from(zero)));
    let count = if T == 0 { taps.len() } else { T };
    let pairs = count.div_ceil(2);
    // SAFETY: as the caller promises.
    unsafe {
        for (block, start) in blocks(channels).enumerate() {
            let weights = weights.as_ptr().add(block * pairs * 32);
            let (bias, factors) = (bias.as_ptr().add(start), factors.as_ptr().add(start));
            // The order of the interleaved sums: channels 0–3 and 8–11, then 4–7 and 12–15.
            let bias = [
                _mm256_loadu2_m128i(bias.add(8).cast(), bias.cast()),
                _mm256_loadu2_m128i(bias.add(12).cast(), bias.add(4).cast()),
            ];
            let factors =
                [_mm256_loadu2_m128(factors.add(8), factors), _mm256_loadu2_m128(factors.add(12), factors.add(4))];
            let origin = input.as_ptr().add(start + at * step);
            let mut sums = [bias; P];
            for p in 0..pairs {
                // The weight of a tap that is not there is 0.
                let (first, second) = (origin.add(taps[2 * p]), origin.add(taps[(2 * p + 1).min(count - 1)]));
                for (o, sums) in sums.iter_mut().enumerate() {
                    *sums = pair(*sums, first.add(o * step), second.add(o * step), weights.add(32 * p));
                }
            }
            for (o, sums) in sums.into_iter().enumerate() {
                let out = out.add((at + o) * channels + start);
                // The order of the operands keeps a product that is no number out of the result.
                let [r0, r1] = [
                    _mm256_mul_ps(_mm256_cvtepi32_ps(sums[0]), factors[0]),
                    _mm256_mul_ps(_mm256_cvtepi32_ps(sums[1]), factors[1]),
                ];
                let w0 = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(r0, low), high));
                let w1 = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(r1, low), high));
                // Packing half by half brings the channels back into order.
                let all = _mm256_adds_epi16(_mm256_packs_epi32(w0, w1), zero);
                _mm_storeu_si128(
                    out.cast(),
                    _mm_packs_epi16(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)),
                );
            }
        }
    }
}
