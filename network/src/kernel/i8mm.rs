//! Products of bytes for 64-bit ARM with products of matrices; all else as on every 64-bit ARM.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vcombine_s8, vdupq_n_s8, vdupq_n_s32, vld1_s8, vld1q_s8, vld1q_s32, vreinterpretq_s8_s64,
    vreinterpretq_s32_s64, vreinterpretq_s64_s8, vreinterpretq_s64_s32, vst1q_s32, vtrn1q_s64, vtrn2q_s64,
};
use std::arch::asm;

use super::{Bytes, Kernels, Narrow, Operands, Shape, neon};

pub(super) static KERNELS: Kernels =
    Kernels { shape: SHAPE, bytes: Bytes::Narrow(Narrow { common: tile, any: tile }), ..neon::KERNELS };

const ROWS: usize = 8;
const COLUMNS: usize = 8;
const SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 8, fill: 8 };

#[target_feature(enable = "neon,i8mm")]
fn tile(operands: &Operands<'_, i8, i8, i32>, sums: &mut [i32]) {
    operands.check(SHAPE, sums);
    let Operands { left, stride, rows, right, length, start } = *operands;
    let start = start.map_or(std::ptr::null(), <[i32]>::as_ptr);
    let mut first = 0;
    while first < rows {
        // SAFETY: `check` holds what a panel reads inside the slices: rows up to stride·(rows − 1) + length, 8 columns
        // of `length`, sums of 8 per row of a multiple of 8 rows.
        unsafe {
            let left = left.as_ptr().add(first * stride);
            let sums = sums.as_mut_ptr().add(first * COLUMNS);
            first += match rows - first {
                8.. => panel::<4>(left, stride, right.as_ptr(), length, start, sums),
                4.. => panel::<2>(left, stride, right.as_ptr(), length, start, sums),
                2.. => panel::<1>(left, stride, right.as_ptr(), length, start, sums),
                // The one row stands for both.
                _ => panel::<1>(left, 0, right.as_ptr(), length, start, sums),
            };
        }
    }
}

/// Sums of `P` pairs of rows, from `start` unless it is null. Returns the number of rows.
///
/// # Safety
/// `left` points to 2·`P` rows, `right` to 8 packed columns of `length` values, `start` to 8 and `sums` to 16·`P` sums.
#[target_feature(enable = "neon,i8mm")]
unsafe fn panel<const P: usize>(
    left: *const i8,
    stride: usize,
    right: *const i8,
    length: usize,
    start: *const i32,
    sums: *mut i32,
) -> usize {
    // SAFETY: as the caller promises; 16 values are read where 16 are left, 8 where 8 are.
    unsafe {
        let rows: [[*const i8; 2]; P] = std::array::from_fn(|p| [0, 1].map(|r| left.add((2 * p + r) * stride)));
        let (origin, step) = if start.is_null() { (sums.cast_const(), COLUMNS) } else { (start, 0) };
        // By pair of rows and pair of columns: two sums of the first row, then two of the second.
        let mut totals = [[vdupq_n_s32(0); 4]; P];
        for (p, totals) in totals.iter_mut().enumerate() {
            for half in [0, 1] {
                let place = origin.add(2 * p * step + 4 * half);
                let [first, second] = turned(vld1q_s32(place), vld1q_s32(place.add(step)));
                totals[2 * half] = first;
                totals[2 * half + 1] = second;
            }
        }
        let mut columns = right;
        let mut at = 0;
        while at + 16 <= length {
            let mut x = [[vdupq_n_s8(0); P]; 2];
            for (p, [first, second]) in rows.iter().enumerate() {
                let first = vreinterpretq_s64_s8(vld1q_s8(first.add(at)));
                let second = vreinterpretq_s64_s8(vld1q_s8(second.add(at)));
                x[0][p] = vreinterpretq_s8_s64(vtrn1q_s64(first, second));
                x[1][p] = vreinterpretq_s8_s64(vtrn2q_s64(first, second));
            }
            group(&mut totals, &x[0], columns);
            group(&mut totals, &x[1], columns.add(64));
            columns = columns.add(16 * COLUMNS);
            at = neon::offset(at + 16);
        }
        if at < length {
            let mut x = [vdupq_n_s8(0); P];
            for (x, [first, second]) in x.iter_mut().zip(rows) {
                *x = vcombine_s8(vld1_s8(first.add(at)), vld1_s8(second.add(at)));
            }
            group(&mut totals, &x, columns);
        }
        for (p, totals) in totals.into_iter().enumerate() {
            for half in [0, 1] {
                let [first, second] = turned(totals[2 * half], totals[2 * half + 1]);
                vst1q_s32(sums.add(2 * p * COLUMNS + 4 * half), first);
                vst1q_s32(sums.add((2 * p + 1) * COLUMNS + 4 * half), second);
            }
        }
    }
    2 * P
}

/// The lower halves of both, and the upper halves.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn turned(first: int32x4_t, second: int32x4_t) -> [int32x4_t; 2] {
    let (first, second) = (vreinterpretq_s64_s32(first), vreinterpretq_s64_s32(second));
    [vreinterpretq_s32_s64(vtrn1q_s64(first, second)), vreinterpretq_s32_s64(vtrn2q_s64(first, second))]
}

/// Adds eight products per row and column.
///
/// # Safety
/// `columns` points to 64 weights.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn group<const P: usize>(totals: &mut [[int32x4_t; 4]; P], x: &[int8x16_t; P], columns: *const i8) {
    for c in 0..4 {
        // SAFETY: as the caller promises.
        let w = unsafe { vld1q_s8(columns.add(16 * c)) };
        for (totals, &x) in totals.iter_mut().zip(x) {
            totals[c] = product(totals[c], x, w);
        }
    }
}

/// `vmmlaq_s32`, which the oldest Rust that this crate supports has not.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn product(total: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    let mut total = total;
    // SAFETY: it touches nothing but its operands.
    unsafe {
        asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inlateout(vreg) total, in(vreg) x, in(vreg) w,
            options(pure, nomem, nostack, preserves_flags));
    }
    total
}
