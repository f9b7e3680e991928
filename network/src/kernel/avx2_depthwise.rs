//! Depthwise convolutions of bytes for x86-64 with AVX2 and FMA: taps in pairs, their channels interleaved for `vpmaddwd`.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_permute2x128_si256, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::avx2::requantise_16;
use super::{DepthwiseRow, Finish, plain};

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
    let DepthwiseRow { input, taps, step, count, channels, weights, bias, factors, low, high, zero } = *row;
    if channels < 16 {
        plain::depthwise(row, out);
        return;
    }
    let furthest = taps.iter().copied().max().unwrap_or(0);
    let pairs = taps.len().div_ceil(2);
    assert!(count > 0 && input.len() >= furthest + (count - 1) * step + channels, "input ends too soon");
    assert!(weights.len() >= channels.div_ceil(16) * pairs * 32, "packed weights end too soon");
    assert!(bias.len() >= channels && factors.len() >= channels && out.len() >= count * channels, "too few channels");
    let finish = Finish { width: 16, rows: 1, columns: 16, factors: &[], low, high, zero, stride: 16 };
    // SAFETY: blocks end at or before `channels`; the assertions hold every address below inside its slice.
    unsafe {
        for (block, start) in blocks(channels).enumerate() {
            let weights = weights.as_ptr().add(block * pairs * 32);
            let bias = bias.as_ptr().add(start);
            let bias = [_mm256_loadu_si256(bias.cast()), _mm256_loadu_si256(bias.add(8).cast())];
            // The order of the interleaved sums: channels 0–3 and 8–11, then 4–7 and 12–15.
            let bias =
                [_mm256_permute2x128_si256(bias[0], bias[1], 0x20), _mm256_permute2x128_si256(bias[0], bias[1], 0x31)];
            for at in 0..count {
                let origin = input.as_ptr().add(start + at * step);
                let mut sums = bias;
                if let Ok(taps) = <&[usize; 9]>::try_from(taps) {
                    for p in 0..4 {
                        let (first, second) = (origin.add(taps[2 * p]), origin.add(taps[2 * p + 1]));
                        sums = pair(sums, first, second, weights.add(32 * p));
                    }
                    sums = pair(sums, origin.add(taps[8]), origin.add(taps[8]), weights.add(128));
                } else {
                    for (p, taps) in taps.chunks(2).enumerate() {
                        // The weight of a tap that is not there is 0.
                        let (first, second) = (origin.add(taps[0]), origin.add(taps[taps.len() - 1]));
                        sums = pair(sums, first, second, weights.add(32 * p));
                    }
                }
                let sums = [
                    _mm256_permute2x128_si256(sums[0], sums[1], 0x20),
                    _mm256_permute2x128_si256(sums[0], sums[1], 0x31),
                ];
                let out = out.as_mut_ptr().add(at * channels + start);
                requantise_16(sums, factors.as_ptr().add(start), &finish, out);
            }
        }
    }
}
