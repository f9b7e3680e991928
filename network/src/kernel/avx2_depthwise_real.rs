//! Depthwise convolutions of reals for x86-64 with AVX2 and FMA: several outputs at once, so that their chains of
//! sums run side by side. Each output adds up its taps in their order, however many are computed together.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps,
};

use super::{DepthwiseRow, plain};

/// Outputs that are computed together, where a row has as many.
const MANY: usize = 8;
const FEW: usize = 4;

#[target_feature(enable = "avx2,fma")]
pub(super) fn reals(row: &DepthwiseRow<'_, f32, f32, f32>, out: &mut [f32]) {
    let DepthwiseRow { input, taps, step, count, channels, weights, bias, .. } = *row;
    if channels < 8 {
        plain::depthwise_real(row, out);
        return;
    }
    let furthest = taps.iter().copied().max().unwrap_or(0);
    assert!(count > 0 && input.len() >= furthest + (count - 1) * step + channels, "input ends too soon");
    assert!(weights.len() >= channels * taps.len(), "weights end too soon");
    assert!(bias.len() >= channels && out.len() >= count * channels, "too few channels");
    let out = out.as_mut_ptr();
    // SAFETY: asserted above; the taps are spaced as the sides of the window say.
    unsafe {
        match (spacing(taps, 3), spacing(taps, 5)) {
            (Some(tap), _) if step == tap => blocks::<3, 1>(row, out),
            (Some(tap), _) if step == 2 * tap => blocks::<3, 2>(row, out),
            (_, Some(tap)) if step == tap => blocks::<5, 1>(row, out),
            (_, Some(tap)) if step == 2 * tap => blocks::<5, 2>(row, out),
            _ => blocks::<0, 0>(row, out),
        }
    }
}

/// Distance of neighbouring taps, where the window has `side` rows of `side` taps.
fn spacing(taps: &[usize], side: usize) -> Option<usize> {
    if taps.len() != side * side {
        return None;
    }
    let first = taps[1].checked_sub(taps[0])?;
    let even = |line: &[usize]| line.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(first));
    taps.chunks_exact(side).all(even).then_some(first)
}

/// Runs over the outputs and the blocks of 8 channels, of which the last may overlap the one before; so may the
/// outputs.
///
/// # Safety
/// The row is checked, `out` holds its results, and K and S are as [`sums`] needs them.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn blocks<const K: usize, const S: usize>(row: &DepthwiseRow<'_, f32, f32, f32>, out: *mut f32) {
    let (count, channels) = (row.count, row.channels);
    let (least, most) = (_mm256_set1_ps(row.low), _mm256_set1_ps(row.high));
    // SAFETY: as the caller promises.
    unsafe {
        macro_rules! outputs {
            ($p:expr, $at:expr) => {
                for block in 0..channels.div_ceil(8) {
                    let start = (block * 8).min(channels - 8);
                    for (p, sum) in sums::<K, S, { $p }>(row, $at, start).into_iter().enumerate() {
                        // Bounds stand first, so that what is no number stays visible.
                        let clamped = _mm256_min_ps(most, _mm256_max_ps(least, sum));
                        _mm256_storeu_ps(out.add(($at + p) * channels + start), clamped);
                    }
                }
            };
        }
        let mut at = 0;
        while at + MANY <= count {
            outputs!(MANY, at);
            at += MANY;
        }
        while at < count && count >= FEW {
            let first = at.min(count - FEW);
            outputs!(FEW, first);
            at = first + FEW;
        }
        while at < count {
            outputs!(1, at);
            at += 1;
        }
    }
}

/// Sums of P outputs from `at` on, for the 8 channels from `start` on. The window has K rows of K taps, and
/// neighbouring outputs lie S taps apart; where K is 0 the taps lie anywhere.
///
/// # Safety
/// The row is checked and holds P outputs from `at` on and 8 channels from `start` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const K: usize, const S: usize, const P: usize>(
    row: &DepthwiseRow<'_, f32, f32, f32>,
    at: usize,
    start: usize,
) -> [__m256; P] {
    let DepthwiseRow { input, taps, step, channels, weights, bias, .. } = *row;
    // SAFETY: as the caller promises.
    unsafe {
        let input = input.as_ptr().add(at * step + start);
        let mut weights = weights.as_ptr().add(start);
        let mut sums = [_mm256_loadu_ps(bias.as_ptr().add(start)); P];
        if K == 0 {
            for &place in taps {
                let (origin, weight) = (input.add(place), _mm256_loadu_ps(weights));
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm256_fmadd_ps(_mm256_loadu_ps(origin.add(p * step)), weight, *sum);
                }
                weights = weights.add(channels);
            }
            return sums;
        }
        let tap = taps[1] - taps[0];
        for line in 0..K {
            let mut next = input.add(taps[line * K]);
            let mut line = [_mm256_setzero_ps(); K];
            for weight in &mut line {
                *weight = _mm256_loadu_ps(weights);
                weights = weights.add(channels);
            }
            // What an output sees moves on by S columns to the next, and each is read once.
            let mut seen = [_mm256_setzero_ps(); K];
            for value in &mut seen[S..] {
                *value = _mm256_loadu_ps(next);
                next = next.add(tap);
            }
            for sum in &mut sums {
                for t in 0..K {
                    if t + S < K {
                        seen[t] = seen[t + S];
                    } else {
                        seen[t] = _mm256_loadu_ps(next);
                        next = next.add(tap);
                    }
                    *sum = _mm256_fmadd_ps(seen[t], line[t], *sum);
                }
            }
        }
        sums
    }
}
