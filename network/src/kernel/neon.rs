//! Kernels for every 64-bit ARM. Products of bytes fit 16 bits, and so does the sum of two of them unless both weights
//! are −128: such pairs are added to sums of 32 bits. Nothing saturates.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

mod depthwise;
mod finish;
mod reals;

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vaddq_s32, vdupq_n_s32, vget_low_s8, vld1_s8, vld1q_s8, vld1q_s32, vmlal_high_s8,
    vmull_high_s8, vmull_s8, vpadalq_s16, vpaddq_s32, vst1q_s32,
};
use std::arch::asm;

use super::{Bytes, DepthwiseBytes, Kernels, Narrow, Operands, Shape, plain};

pub(super) static KERNELS: Kernels = Kernels {
    shape: SHAPE,
    bytes: Bytes::Narrow(Narrow { common: tile::<false>, any: tile::<true> }),
    single: None,
    real_shape: reals::SHAPE,
    reals: reals::tile,
    real_strip: None,
    sliding: None,
    requantise: finish::requantise,
    widen: plain::widen,
    depthwise: DepthwiseBytes::Narrow(Narrow {
        common: depthwise::convolve::<false>,
        any: depthwise::convolve::<true>,
    }),
    depthwise_real: reals::depthwise,
    quantise: plain::quantise,
    add: plain::add,
    multiply: plain::multiply,
    add_real: plain::add_real,
    clamp: plain::clamp,
    curve: plain::curve,
    column_sums: plain::column_sums,
    greatest: plain::greatest,
    winograd: None,
};

const ROWS: usize = 2;
const COLUMNS: usize = 8;
const SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 16, fill: 8 };

/// `ANY` weights, or none that is −128.
#[target_feature(enable = "neon")]
fn tile<const ANY: bool>(operands: &Operands<'_, i8, i8, i32>, sums: &mut [i32]) {
    operands.check(SHAPE, sums);
    let Operands { left, stride, rows, right, length, start } = *operands;
    let start = start.map_or(std::ptr::null(), <[i32]>::as_ptr);
    // SAFETY: `check` holds what a panel reads inside the slices: rows up to stride·(rows − 1) + length, 8 columns of
    // `length`, sums of 8 per row.
    unsafe {
        for first in (0..rows).step_by(ROWS) {
            let left = left.as_ptr().add(first * stride);
            let sums = sums.as_mut_ptr().add(first * COLUMNS);
            if rows - first >= ROWS {
                panel::<ROWS, ANY>(left, stride, right.as_ptr(), length, start, sums);
            } else {
                panel::<1, ANY>(left, stride, right.as_ptr(), length, start, sums);
            }
        }
    }
}

/// Sums of a few rows, from `start` unless it is null.
///
/// # Safety
/// `left` points to `R` rows, `right` to 8 packed columns of `length` values, `start` to 8 and `sums` to 8·`R` sums.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn panel<const R: usize, const ANY: bool>(
    left: *const i8,
    stride: usize,
    right: *const i8,
    length: usize,
    start: *const i32,
    sums: *mut i32,
) {
    // SAFETY: as the caller promises; 16 values are read where 16 are left, 8 where 8 are.
    unsafe {
        let rows: [*const i8; R] = std::array::from_fn(|r| left.add(r * stride));
        let whole = length / 16 * 16;
        let mut totals = [[vdupq_n_s32(0); R]; COLUMNS];
        let mut columns = right;
        let mut at = 0;
        if at < whole {
            group::<R, ANY, true>(&mut totals, rows.map(|row| vld1q_s8(row)), columns);
            columns = columns.add(16 * COLUMNS);
            at = 16;
        }
        while at < whole {
            group::<R, ANY, false>(&mut totals, rows.map(|row| vld1q_s8(row.add(at))), columns);
            columns = columns.add(16 * COLUMNS);
            at += 16;
        }
        if whole < length {
            let x = rows.map(|row| vld1_s8(row.add(whole)));
            for (c, totals) in totals.iter_mut().enumerate() {
                let w = vld1_s8(columns.add(c * 8));
                for r in 0..R {
                    totals[r] = vpadalq_s16(totals[r], vmull_s8(x[r], w));
                }
            }
        }
        for r in 0..R {
            let row = totals.map(|column| column[r]);
            for half in [0, 4] {
                let pair = |c: usize| vpaddq_s32(row[half + c], row[half + c + 1]);
                let place = sums.add(r * COLUMNS + half);
                let before = if start.is_null() { place.cast_const() } else { start.add(half) };
                vst1q_s32(place, vaddq_s32(vld1q_s32(before), vpaddq_s32(pair(0), pair(2))));
            }
        }
    }
}

/// `at`, in a way that keeps the compiler from making one running address for each row out of it.
#[inline]
pub(super) fn offset(mut at: usize) -> usize {
    // SAFETY: there is no instruction in it.
    unsafe {
        asm!("/* {0} */", inout(reg) at, options(pure, nomem, nostack, preserves_flags));
    }
    at
}

/// Adds 16 products per row and column, or begins the sums with the `FIRST`.
///
/// # Safety
/// `columns` points to 128 weights.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn group<const R: usize, const ANY: bool, const FIRST: bool>(
    totals: &mut [[int32x4_t; R]; COLUMNS],
    x: [int8x16_t; R],
    columns: *const i8,
) {
    let (pairs, _) = totals.as_chunks_mut::<2>();
    for (c, totals) in pairs.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        let w = unsafe { [vld1q_s8(columns.add(c * 32)), vld1q_s8(columns.add(c * 32 + 16))] };
        if let ([x, y], false) = (&x[..], ANY) {
            let sums = four::<FIRST>([totals[0][0], totals[0][1], totals[1][0], totals[1][1]], [*x, *y], w);
            for (i, sum) in sums.into_iter().enumerate() {
                totals[i / 2][i % 2] = sum;
            }
            continue;
        }
        for (totals, w) in totals.iter_mut().zip(w) {
            for (total, x) in totals.iter_mut().zip(x) {
                let low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
                *total = if ANY {
                    vpadalq_s16(vpadalq_s16(*total, low), vmull_high_s8(x, w))
                } else {
                    vpadalq_s16(*total, vmlal_high_s8(low, x, w))
                };
            }
        }
    }
}

/// Two rows by two columns, in one piece: the compiler moves products away from their sums until it has no registers
/// left.
#[inline]
#[target_feature(enable = "neon")]
fn four<const FIRST: bool>(sums: [int32x4_t; 4], [x, y]: [int8x16_t; 2], [w, v]: [int8x16_t; 2]) -> [int32x4_t; 4] {
    let [mut a, mut b, mut c, mut d] = sums;
    macro_rules! products {
        ($how:ident, $add:literal) => {
            asm!(
                "smull {p:v}.8h, {x:v}.8b, {w:v}.8b",
                "smull {q:v}.8h, {y:v}.8b, {w:v}.8b",
                "smull {r:v}.8h, {x:v}.8b, {v:v}.8b",
                "smull {s:v}.8h, {y:v}.8b, {v:v}.8b",
                "smlal2 {p:v}.8h, {x:v}.16b, {w:v}.16b",
                "smlal2 {q:v}.8h, {y:v}.16b, {w:v}.16b",
                "smlal2 {r:v}.8h, {x:v}.16b, {v:v}.16b",
                "smlal2 {s:v}.8h, {y:v}.16b, {v:v}.16b",
                concat!($add, " {a:v}.4s, {p:v}.8h"),
                concat!($add, " {b:v}.4s, {q:v}.8h"),
                concat!($add, " {c:v}.4s, {r:v}.8h"),
                concat!($add, " {d:v}.4s, {s:v}.8h"),
                x = in(vreg) x, y = in(vreg) y, w = in(vreg) w, v = in(vreg) v,
                p = out(vreg) _, q = out(vreg) _, r = out(vreg) _, s = out(vreg) _,
                a = $how(vreg) a, b = $how(vreg) b, c = $how(vreg) c, d = $how(vreg) d,
                options(pure, nomem, nostack, preserves_flags),
            )
        };
    }
    // SAFETY: they touch nothing but their operands.
    unsafe {
        if FIRST {
            products!(out, "saddlp");
        } else {
            products!(inout, "sadalp");
        }
    }
    [a, b, c, d]
}
