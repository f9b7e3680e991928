//! Kernels for x86-64 with AVX2 and FMA. Integers are multiplied as pairs of 16 bits (`vpmaddwd`), whose sums of 32
//! bits are exact; nothing saturates.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    __m256i, _mm_adds_epi16, _mm_loadu_si128, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi16, _mm_storeu_si128,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtps_epi32,
    _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_set1_ps, _mm256_storeu_ps,
    _mm256_storeu_si256, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::{Bytes, DepthwiseBytes, DepthwiseRow, Finish, Kernels, Operands, Shape, Sum, plain};

pub(super) static KERNELS: Kernels = Kernels {
    shape: SHAPE,
    bytes: Bytes::Wide(tile),
    real_shape: REAL_SHAPE,
    reals: tile_real,
    requantise,
    widen,
    depthwise: DepthwiseBytes::Wide { pack: pack_depthwise, convolve: depthwise },
    depthwise_real,
    quantise,
    add,
    multiply,
    add_real,
    clamp,
    column_sums,
    greatest,
};

const ROWS: usize = 6;
const COLUMNS: usize = 16;
const SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 2, fill: 2 };
const REAL_SHAPE: Shape = Shape { depth: 1, fill: 1, ..SHAPE };

/// Plain kernels compiled with these instructions.
macro_rules! recompiled {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(
            #[target_feature(enable = "avx2,fma")]
            fn $name($($argument: $kind),*) {
                plain::$name($($argument),*);
            }
        )*
    };
}

recompiled! {
    widen(bytes: &[i8], out: &mut [i16]);
    quantise(values: &[f32], step: f32, finish: &Finish<'_>, out: &mut [i8]);
    add(left: &[i8], right: &[i8], sum: &Sum, out: &mut [i8]);
    multiply(left: &[i8], right: &[i8], zeros: [i8; 2], finish: &Finish<'_>, out: &mut [i8]);
    add_real(left: &[f32], right: &[f32], bounds: [f32; 2], out: &mut [f32]);
    clamp(values: &[f32], finish: &Finish<'_>, out: &mut [f32]);
    column_sums(bytes: &[i8], sums: &mut [i32]);
    greatest(bytes: &[i8], out: &mut [i8]);
}

#[target_feature(enable = "avx2,fma")]
fn tile(operands: &Operands<'_, i16, i16, i32>, sums: &mut [i32]) {
    operands.check(SHAPE, sums);
    let Operands { left, stride, rows, right, length, start } = *operands;
    // SAFETY: `check` holds every address below inside its slice: row r reads up to r·stride + length for r < rows,
    // the columns 32 values per pair, the sums 96 values per panel of rows.
    unsafe {
        for first in (0..rows).step_by(ROWS) {
            let last = rows - first - 1;
            let starts: [*const i16; ROWS] = std::array::from_fn(|r| left.as_ptr().add(stride * (first + r.min(last))));
            let mut columns = right.as_ptr();
            let place = sums.as_mut_ptr().add(first * COLUMNS);
            let (origin, step) = start.map_or((place.cast_const(), COLUMNS), |start| (start.as_ptr(), 0));
            let mut total: [[__m256i; 2]; ROWS] =
                std::array::from_fn(|r| [0, 8].map(|c| _mm256_loadu_si256(origin.add(r * step + c).cast())));
            for pair in 0..length / 2 {
                let w = [0, 16].map(|c| _mm256_loadu_si256(columns.add(c).cast()));
                for r in 0..ROWS {
                    let pair = _mm256_set1_epi32(starts[r].add(2 * pair).cast::<i32>().read_unaligned());
                    total[r][0] = _mm256_add_epi32(total[r][0], _mm256_madd_epi16(pair, w[0]));
                    total[r][1] = _mm256_add_epi32(total[r][1], _mm256_madd_epi16(pair, w[1]));
                }
                columns = columns.add(2 * COLUMNS);
            }
            for (r, total) in total.into_iter().enumerate() {
                _mm256_storeu_si256(place.add(r * COLUMNS).cast(), total[0]);
                _mm256_storeu_si256(place.add(r * COLUMNS + 8).cast(), total[1]);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile_real(operands: &Operands<'_, f32, f32, f32>, sums: &mut [f32]) {
    operands.check(REAL_SHAPE, sums);
    let Operands { left, stride, rows, right, length, start } = *operands;
    // SAFETY: as in `tile`, with 16 values of the columns per value of a row.
    unsafe {
        for first in (0..rows).step_by(ROWS) {
            let last = rows - first - 1;
            let starts: [*const f32; ROWS] = std::array::from_fn(|r| left.as_ptr().add(stride * (first + r.min(last))));
            let mut columns = right.as_ptr();
            let place = sums.as_mut_ptr().add(first * COLUMNS);
            let (origin, step) = start.map_or((place.cast_const(), COLUMNS), |start| (start.as_ptr(), 0));
            let mut total: [_; ROWS] =
                std::array::from_fn(|r| [0, 8].map(|c| _mm256_loadu_ps(origin.add(r * step + c))));
            for at in 0..length {
                let w = [0, 8].map(|c| _mm256_loadu_ps(columns.add(c)));
                for r in 0..ROWS {
                    let value = _mm256_set1_ps(*starts[r].add(at));
                    total[r][0] = _mm256_fmadd_ps(value, w[0], total[r][0]);
                    total[r][1] = _mm256_fmadd_ps(value, w[1], total[r][1]);
                }
                columns = columns.add(COLUMNS);
            }
            for (r, total) in total.into_iter().enumerate() {
                _mm256_storeu_ps(place.add(r * COLUMNS), total[0]);
                _mm256_storeu_ps(place.add(r * COLUMNS + 8), total[1]);
            }
        }
    }
}

/// 16 bytes from 16 sums: `round(clamp(sum · factor)) + zero`.
///
/// # Safety
/// `factors` and `out` point to 16 values each.
#[target_feature(enable = "avx2,fma")]
unsafe fn requantise_16(sums: [__m256i; 2], factors: *const f32, low: f32, high: f32, zero: i8, out: *mut i8) {
    // SAFETY: as the caller promises.
    unsafe {
        let whole = [0, 1].map(|half| {
            let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[half]), _mm256_loadu_ps(factors.add(8 * half)));
            // The order of the operands keeps a product that is no number out of the result.
            let clamped = _mm256_min_ps(_mm256_max_ps(scaled, _mm256_set1_ps(low)), _mm256_set1_ps(high));
            let whole = _mm256_cvtps_epi32(clamped);
            _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1))
        });
        let zero = _mm_set1_epi16(i16::from(zero));
        let packed = _mm_packs_epi16(_mm_adds_epi16(whole[0], zero), _mm_adds_epi16(whole[1], zero));
        _mm_storeu_si128(out.cast(), packed);
    }
}

#[target_feature(enable = "avx2,fma")]
fn requantise(sums: &[i32], finish: &Finish<'_>, out: &mut [i8]) {
    let Finish { width, rows, factors, low, high, zero, stride } = *finish;
    if factors.len() != COLUMNS {
        plain::requantise(sums, finish, out);
        return;
    }
    for row in 0..rows {
        let sums = &sums[row * width..][..COLUMNS];
        let out = &mut out[row * stride..][..COLUMNS];
        // SAFETY: both slices and the factors hold 16 values.
        unsafe {
            let sums = [0, 8].map(|c| _mm256_loadu_si256(sums.as_ptr().add(c).cast()));
            requantise_16(sums, factors.as_ptr(), low, high, zero, out.as_mut_ptr());
        }
    }
}

/// Where each block of 16 channels begins; the last may overlap the one before.
fn blocks(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels.div_ceil(16)).map(move |block| (block * 16).min(channels - 16))
}

/// By block of 16 channels and pair of taps, in the order in which the instructions interleave bytes.
fn pack_depthwise(weights: &[i8], taps: usize, channels: usize) -> Vec<i16> {
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

#[target_feature(enable = "avx2,fma")]
fn depthwise(row: &DepthwiseRow<'_, i8, i16, i32>, out: &mut [i8]) {
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
    // SAFETY: blocks end at or before `channels`; the assertions hold every address below inside its slice.
    unsafe {
        for (block, start) in blocks(channels).enumerate() {
            let weights = weights.as_ptr().add(block * pairs * 32);
            let bias = [0, 8].map(|c| _mm256_loadu_si256(bias.as_ptr().add(start + c).cast()));
            // The order of the interleaved sums: channels 0–3 and 8–11, then 4–7 and 12–15.
            let bias =
                [_mm256_permute2x128_si256(bias[0], bias[1], 0x20), _mm256_permute2x128_si256(bias[0], bias[1], 0x31)];
            let origin = input.as_ptr().add(start);
            let load = |place: usize| _mm256_cvtepi8_epi16(_mm_loadu_si128(origin.add(place).cast()));
            for at in 0..count {
                let mut sums = bias;
                let mut weights = weights;
                for pair in taps.chunks(2) {
                    let first = load(pair[0] + at * step);
                    // The weight of a tap that is not there is 0.
                    let second = load(pair[pair.len() - 1] + at * step);
                    let low =
                        _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), _mm256_loadu_si256(weights.cast()));
                    let high = _mm256_madd_epi16(
                        _mm256_unpackhi_epi16(first, second),
                        _mm256_loadu_si256(weights.add(16).cast()),
                    );
                    sums = [_mm256_add_epi32(sums[0], low), _mm256_add_epi32(sums[1], high)];
                    weights = weights.add(32);
                }
                let sums = [
                    _mm256_permute2x128_si256(sums[0], sums[1], 0x20),
                    _mm256_permute2x128_si256(sums[0], sums[1], 0x31),
                ];
                let out = out.as_mut_ptr().add(at * channels + start);
                requantise_16(sums, factors.as_ptr().add(start), low, high, zero, out);
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn depthwise_real(row: &DepthwiseRow<'_, f32, f32, f32>, out: &mut [f32]) {
    let DepthwiseRow { input, taps, step, count, channels, weights, bias, low, high, .. } = *row;
    if channels < 8 {
        plain::depthwise_real(row, out);
        return;
    }
    let furthest = taps.iter().copied().max().unwrap_or(0);
    assert!(count > 0 && input.len() >= furthest + (count - 1) * step + channels, "input ends too soon");
    assert!(weights.len() >= channels * taps.len(), "weights end too soon");
    assert!(bias.len() >= channels && out.len() >= count * channels, "too few channels");
    // SAFETY: blocks of 8 end at or before `channels`; the assertions hold every address inside its slice.
    unsafe {
        let (least, most) = (_mm256_set1_ps(low), _mm256_set1_ps(high));
        for block in 0..channels.div_ceil(8) {
            let start = (block * 8).min(channels - 8);
            let bias = _mm256_loadu_ps(bias.as_ptr().add(start));
            for at in 0..count {
                let mut sum = bias;
                for (tap, &place) in taps.iter().enumerate() {
                    let values = _mm256_loadu_ps(input.as_ptr().add(place + at * step + start));
                    let weights = _mm256_loadu_ps(weights.as_ptr().add(tap * channels + start));
                    sum = _mm256_fmadd_ps(values, weights, sum);
                }
                // Bounds stand first, so that what is no number stays visible.
                let clamped = _mm256_min_ps(most, _mm256_max_ps(least, sum));
                _mm256_storeu_ps(out.as_mut_ptr().add(at * channels + start), clamped);
            }
        }
    }
}
