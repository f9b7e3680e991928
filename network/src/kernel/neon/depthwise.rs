//! Depthwise convolutions of bytes: pairs of taps are added in 16 bits, then to sums of 32.

use std::arch::aarch64::{int8x16_t, int32x4_t, vld1q_f32, vld1q_s8, vld1q_s32, vst1q_s8};
use std::arch::asm;

use super::super::{DepthwiseRow, plain};
use super::finish::Bounded;
use super::offset;

type Row<'a> = DepthwiseRow<'a, i8, i8, i32>;

/// `ANY` weights, or none that is −128.
#[target_feature(enable = "neon")]
pub(super) fn convolve<const ANY: bool>(row: &Row<'_>, out: &mut [i8]) {
    if row.channels < 16 {
        plain::depthwise(row, out);
        return;
    }
    row.check(out);
    for block in 0..row.channels.div_ceil(16) {
        // The last block may overlap the one before.
        let start = (block * 16).min(row.channels - 16);
        // SAFETY: `check` holds 16 channels from `start` on, of each output and tap, inside the slices.
        unsafe {
            if let Ok(taps) = <&[usize; 9]>::try_from(row.taps) {
                nine::<ANY>(row, taps, start, out.as_mut_ptr().add(start));
            } else {
                any_window::<ANY>(row, start, out.as_mut_ptr().add(start));
            }
        }
    }
}

/// Adds 16 products to their sums.
#[inline]
#[target_feature(enable = "neon")]
fn one(sums: [int32x4_t; 4], x: int8x16_t, w: int8x16_t) -> [int32x4_t; 4] {
    let [mut a, mut b, mut c, mut d] = sums;
    // SAFETY: as in `both`.
    unsafe {
        asm!(
            "smull {p:v}.8h, {x:v}.8b, {w:v}.8b",
            "smull2 {q:v}.8h, {x:v}.16b, {w:v}.16b",
            "saddw {a:v}.4s, {a:v}.4s, {p:v}.4h",
            "saddw2 {b:v}.4s, {b:v}.4s, {p:v}.8h",
            "saddw {c:v}.4s, {c:v}.4s, {q:v}.4h",
            "saddw2 {d:v}.4s, {d:v}.4s, {q:v}.8h",
            x = in(vreg) x, w = in(vreg) w, p = out(vreg) _, q = out(vreg) _,
            a = inout(vreg) a, b = inout(vreg) b, c = inout(vreg) c, d = inout(vreg) d,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [a, b, c, d]
}

/// Adds the products of two taps.
#[inline]
#[target_feature(enable = "neon")]
fn both<const ANY: bool>(sums: [int32x4_t; 4], x: [int8x16_t; 2], w: [int8x16_t; 2]) -> [int32x4_t; 4] {
    if ANY {
        return one(one(sums, x[0], w[0]), x[1], w[1]);
    }
    let [mut a, mut b, mut c, mut d] = sums;
    // SAFETY: it touches nothing but its operands. In one piece, for the compiler takes the upper halves of weights
    // out of loops and has then neither registers nor `smull2` for them.
    unsafe {
        asm!(
            "smull {p:v}.8h, {x:v}.8b, {w:v}.8b",
            "smull2 {q:v}.8h, {x:v}.16b, {w:v}.16b",
            "smlal {p:v}.8h, {y:v}.8b, {v:v}.8b",
            "smlal2 {q:v}.8h, {y:v}.16b, {v:v}.16b",
            "saddw {a:v}.4s, {a:v}.4s, {p:v}.4h",
            "saddw2 {b:v}.4s, {b:v}.4s, {p:v}.8h",
            "saddw {c:v}.4s, {c:v}.4s, {q:v}.4h",
            "saddw2 {d:v}.4s, {d:v}.4s, {q:v}.8h",
            x = in(vreg) x[0], y = in(vreg) x[1], w = in(vreg) w[0], v = in(vreg) w[1],
            p = out(vreg) _, q = out(vreg) _,
            a = inout(vreg) a, b = inout(vreg) b, c = inout(vreg) c, d = inout(vreg) d,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [a, b, c, d]
}

/// 16 channels from `start` on, for a window of nine taps, whose weights stay in registers.
///
/// # Safety
/// `row` holds 16 channels from `start` on; `out` points to them in the first output.
#[inline(never)]
#[target_feature(enable = "neon")]
unsafe fn nine<const ANY: bool>(row: &Row<'_>, taps: &[usize; 9], start: usize, mut out: *mut i8) {
    let DepthwiseRow { channels, step, low, high, zero, .. } = *row;
    let bounded = Bounded::new(low, high, zero);
    // SAFETY: as the caller promises.
    unsafe {
        let weights: [int8x16_t; 9] = std::array::from_fn(|t| vld1q_s8(row.weights.as_ptr().add(t * channels + start)));
        let places: [*const i8; 9] = taps.map(|place| row.input.as_ptr().add(place + start));
        let bias = [0, 4, 8, 12].map(|c| vld1q_s32(row.bias.as_ptr().add(start + c)));
        let factors = [0, 4, 8, 12].map(|c| vld1q_f32(row.factors.as_ptr().add(start + c)));
        let mut at = 0;
        for _ in 0..row.count {
            at = offset(at);
            let tap = |t: usize| vld1q_s8(places[t].add(at));
            let mut sums = one(bias, tap(8), weights[8]);
            for t in [0, 2, 4, 6] {
                sums = both::<ANY>(sums, [tap(t), tap(t + 1)], [weights[t], weights[t + 1]]);
            }
            vst1q_s8(out, bounded.scaled(sums, factors));
            out = out.wrapping_add(channels);
            at += step;
        }
    }
}

/// 16 channels from `start` on, for any window.
///
/// # Safety
/// `row` holds 16 channels from `start` on; `out` points to them in the first output.
#[inline(never)]
#[target_feature(enable = "neon")]
unsafe fn any_window<const ANY: bool>(row: &Row<'_>, start: usize, mut out: *mut i8) {
    /// Outputs for which weights are loaded together.
    const TOGETHER: usize = 3;
    // SAFETY: as the caller promises.
    unsafe {
        let mut at = 0;
        while at + TOGETHER <= row.count {
            outputs::<ANY, TOGETHER>(row, start, at, out);
            out = out.wrapping_add(TOGETHER * row.channels);
            at += TOGETHER;
        }
        while at < row.count {
            outputs::<ANY, 1>(row, start, at, out);
            out = out.wrapping_add(row.channels);
            at += 1;
        }
    }
}

/// 16 channels of `N` outputs.
///
/// # Safety
/// As of `any_window`; there are `N` outputs from `at` on, and `out` points to the first of them.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn outputs<const ANY: bool, const N: usize>(row: &Row<'_>, start: usize, at: usize, out: *mut i8) {
    let DepthwiseRow { taps, channels, step, low, high, zero, .. } = *row;
    // SAFETY: as the caller promises.
    unsafe {
        let bias = [0, 4, 8, 12].map(|c| vld1q_s32(row.bias.as_ptr().add(start + c)));
        let mut sums = [bias; N];
        let mut weights = row.weights.as_ptr().add(start);
        let input = row.input.as_ptr().add(at * step + start);
        let mut pairs = taps.chunks_exact(2);
        for pair in &mut pairs {
            let w = [vld1q_s8(weights), vld1q_s8(weights.add(channels))];
            let places = [input.add(pair[0]), input.add(pair[1])];
            for (n, sums) in sums.iter_mut().enumerate() {
                *sums = both::<ANY>(*sums, places.map(|place| vld1q_s8(place.add(n * step))), w);
            }
            weights = weights.wrapping_add(2 * channels);
        }
        if let [place] = pairs.remainder() {
            let w = vld1q_s8(weights);
            for (n, sums) in sums.iter_mut().enumerate() {
                *sums = one(*sums, vld1q_s8(input.add(place + n * step)), w);
            }
        }
        let bounded = Bounded::new(low, high, zero);
        let factors = [0, 4, 8, 12].map(|c| vld1q_f32(row.factors.as_ptr().add(start + c)));
        for (n, sums) in sums.into_iter().enumerate() {
            vst1q_s8(out.add(n * channels), bounded.scaled(sums, factors));
        }
    }
}
