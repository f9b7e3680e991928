//! The kernels as plain loops: what every other kernel has to compute, to the bit where integers go in.
//! Kernels of other processors compile the short ones again with their own instructions.

#![expect(clippy::inline_always, reason = "compiled again inside of functions with other instructions")]

use super::exponential::exponential;
use super::{Bytes, DepthwiseBytes, DepthwiseRow, Finish, Kernels, Operands, Shape, Sum};
use crate::curve::{Curve, clamped};

pub(super) static KERNELS: Kernels = Kernels {
    shape: Shape { rows: 1, columns: 8, depth: 2, fill: 2 },
    bytes: Bytes::Wide(tile::<i16, i32, 8, 2>, None),
    single: None,
    real_shape: Shape { rows: 1, columns: 8, depth: 1, fill: 1 },
    reals: tile::<f32, f32, 8, 1>,
    real_strip: None,
    sliding: None,
    requantise,
    widen,
    depthwise: DepthwiseBytes::Wide { pack: pack_depthwise, convolve: depthwise },
    depthwise_real,
    quantise,
    add,
    multiply,
    add_real,
    clamp,
    curve,
    column_sums,
    greatest,
    winograd: None,
};

/// 1.5·2²³: the low bits of `x + ROUND` are the integer nearest to x, ties to even, where |x| < 2²².
pub(super) const ROUND: f32 = 12_582_912.0;

/// The integer nearest to `value`, ties to even, within whole bounds of a few bits. NaN gives any.
#[inline(always)]
pub(super) fn round(value: f32, low: f32, high: f32) -> i32 {
    ((clamped(value, low, high) + ROUND).to_bits().cast_signed()).wrapping_sub(ROUND.to_bits().cast_signed())
}

/// Two factors and the sum that their product is added to.
pub(super) trait Factor<S>: Copy {
    fn onto(self, other: Self, sum: S) -> S;
}

impl Factor<i32> for i16 {
    #[inline(always)]
    fn onto(self, other: i16, sum: i32) -> i32 {
        sum.wrapping_add(i32::from(self) * i32::from(other))
    }
}

impl Factor<i32> for i8 {
    #[inline(always)]
    fn onto(self, other: i8, sum: i32) -> i32 {
        sum.wrapping_add(i32::from(self) * i32::from(other))
    }
}

impl Factor<f32> for f32 {
    #[inline(always)]
    fn onto(self, other: f32, sum: f32) -> f32 {
        sum + self * other
    }
}

fn tile<F: Factor<S>, S: Copy, const COLUMNS: usize, const DEPTH: usize>(
    operands: &Operands<'_, F, F, S>,
    sums: &mut [S],
) {
    let Operands { left, stride, rows, right, length, start } = *operands;
    for (row, sums) in sums.chunks_exact_mut(COLUMNS).take(rows).enumerate() {
        if let Some(start) = start {
            sums.copy_from_slice(&start[..COLUMNS]);
        }
        let left = &left[row * stride..][..length];
        for (left, right) in left.chunks_exact(DEPTH).zip(right.chunks_exact(COLUMNS * DEPTH)) {
            for (sum, right) in sums.iter_mut().zip(right.chunks_exact(DEPTH)) {
                for (&l, &r) in left.iter().zip(right) {
                    *sum = l.onto(r, *sum);
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn requantise(sums: &[i32], finish: &Finish<'_>, out: &mut [i8]) {
    let Finish { width, rows, columns, factors, low, high, zero, stride } = *finish;
    for row in 0..rows {
        let out = &mut out[row * stride..][..columns];
        for ((out, &sum), &factor) in out.iter_mut().zip(&sums[row * width..]).zip(factors) {
            *out = (round(sum as f32 * factor, low, high) + i32::from(zero)) as i8;
        }
    }
}

/// `out = clamp(x · factor)`, row by row as [`requantise`].
#[inline(always)]
pub(super) fn clamp(values: &[f32], finish: &Finish<'_>, out: &mut [f32]) {
    let Finish { width, rows, columns, factors, low, high, stride, .. } = *finish;
    for row in 0..rows {
        let out = &mut out[row * stride..][..columns];
        for ((out, &value), &factor) in out.iter_mut().zip(&values[row * width..]).zip(factors) {
            *out = clamped(value * factor, low, high);
        }
    }
}

#[inline(always)]
pub(super) fn widen(bytes: &[i8], out: &mut [i16]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = i16::from(byte);
    }
}

fn pack_depthwise(weights: &[i8], _taps: usize, _channels: usize) -> Vec<i16> {
    weights.iter().map(|&w| i16::from(w)).collect()
}

#[inline(always)]
pub(super) fn depthwise<W: Factor<i32>>(row: &DepthwiseRow<'_, i8, W, i32>, out: &mut [i8])
where
    i8: Into<W>,
{
    let channels = row.channels;
    for (at, out) in out.chunks_exact_mut(channels).take(row.count).enumerate() {
        for (c, out) in out.iter_mut().enumerate() {
            let mut sum = row.bias[c];
            for (tap, &place) in row.taps.iter().enumerate() {
                let value = row.input[place + at * row.step + c];
                sum = row.weights[tap * channels + c].onto(value.into(), sum);
            }
            *out = (round(sum as f32 * row.factors[c], row.low, row.high) + i32::from(row.zero)) as i8;
        }
    }
}

#[inline(always)]
pub(super) fn depthwise_real(row: &DepthwiseRow<'_, f32, f32, f32>, out: &mut [f32]) {
    let channels = row.channels;
    for (at, out) in out.chunks_exact_mut(channels).take(row.count).enumerate() {
        out.copy_from_slice(&row.bias[..channels]);
        for (tap, &place) in row.taps.iter().enumerate() {
            let values = &row.input[place + at * row.step..][..channels];
            let weights = &row.weights[tap * channels..][..channels];
            for ((out, &value), &weight) in out.iter_mut().zip(values).zip(weights) {
                *out += value * weight;
            }
        }
        for out in out {
            *out = clamped(*out, row.low, row.high);
        }
    }
}

#[inline(always)]
pub(super) fn quantise(values: &[f32], step: f32, finish: &Finish<'_>, out: &mut [i8]) {
    for (out, &value) in out.iter_mut().zip(values) {
        *out = (round(value / step, finish.low, finish.high) + i32::from(finish.zero)) as i8;
    }
}

#[inline(always)]
pub(super) fn add(left: &[i8], right: &[i8], sum: &Sum, out: &mut [i8]) {
    let Sum { zeros, scales, step, low, high, zero } = *sum;
    let zeros = zeros.map(i32::from);
    for ((out, &a), &b) in out.iter_mut().zip(left).zip(right) {
        let a = (i32::from(a) - zeros[0]) as f32 * scales[0];
        let b = (i32::from(b) - zeros[1]) as f32 * scales[1];
        *out = (round((a + b) / step, low, high) + i32::from(zero)) as i8;
    }
}

/// `out = round(a · b · factor)`.
#[inline(always)]
pub(super) fn multiply(left: &[i8], right: &[i8], zeros: [i8; 2], finish: &Finish<'_>, out: &mut [i8]) {
    let zeros = zeros.map(i32::from);
    let factor = finish.factors[0];
    for ((out, &a), &b) in out.iter_mut().zip(left).zip(right) {
        let product = (i32::from(a) - zeros[0]) * (i32::from(b) - zeros[1]);
        *out = (round(product as f32 * factor, finish.low, finish.high) + i32::from(finish.zero)) as i8;
    }
}

#[inline(always)]
pub(super) fn add_real(left: &[f32], right: &[f32], bounds: [f32; 2], out: &mut [f32]) {
    for ((out, &a), &b) in out.iter_mut().zip(left).zip(right) {
        *out = clamped(a + b, bounds[0], bounds[1]);
    }
}

/// Each value by what the curve makes of it; those of the exponential function to a relative 1e-6. The curves stand apart,
/// so that each has a loop of its own.
#[inline(always)]
pub(super) fn curve(curve: Curve, values: &mut [f32]) {
    macro_rules! each {
        ($at:expr) => {
            for value in values {
                *value = $at(*value);
            }
        };
    }
    let sigmoid = |x: f32| 1.0 / (1.0 + exponential(-x));
    match curve {
        Curve::Clamp { low, high } => each!(|x| Curve::Clamp { low, high }.at(x)),
        Curve::HardSigmoid { alpha, beta } => each!(|x| Curve::HardSigmoid { alpha, beta }.at(x)),
        Curve::HardSwish => each!(|x| Curve::HardSwish.at(x)),
        Curve::Sigmoid => each!(sigmoid),
        Curve::Silu => each!(|x| x * sigmoid(x)),
        Curve::LeakyRelu { alpha } => each!(|x| Curve::LeakyRelu { alpha }.at(x)),
    }
}

/// `out = max(out, bytes)`.
#[inline(always)]
pub(super) fn greatest(bytes: &[i8], out: &mut [i8]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = (*out).max(byte);
    }
}

/// Adds each row of bytes onto the sums of its columns.
#[inline(always)]
pub(super) fn column_sums(bytes: &[i8], sums: &mut [i32]) {
    for row in bytes.chunks_exact(sums.len()) {
        for (sum, &byte) in sums.iter_mut().zip(row) {
            *sum += i32::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn rounds_ties_to_even_and_saturates() {
        let values = [0.5, 1.5, -0.5, -1.5, 2.4999, 126.51, 1e30, -1e30, f32::INFINITY, -0.0];
        assert_eq!(values.map(|v| round(v, -128.0, 127.0)), [0, 2, 0, -2, 2, 127, 127, -128, 127, 0]);
    }
}
