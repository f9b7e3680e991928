//! Products of bytes for 64-bit ARM with dot products; all else as on every 64-bit ARM.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::aarch64::{int8x16_t, int32x4_t, vcombine_s8, vdup_n_s8, vld1_s8, vld1q_s8, vld1q_s32, vst1q_s32};
use std::arch::asm;

use super::{Bytes, Kernels, Narrow, Operands, Shape, neon};

pub(super) static KERNELS: Kernels =
    Kernels { shape: SHAPE, bytes: Bytes::Narrow(Narrow { common: tile, any: tile }), ..neon::KERNELS };

const ROWS: usize = 8;
const COLUMNS: usize = 8;
const SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 4, fill: 8 };

#[target_feature(enable = "neon,dotprod")]
fn tile(operands: &Operands<'_, i8, i8, i32>, sums: &mut [i32]) {
    operands.check(SHAPE, sums);
    let Operands { left, stride, rows, right, length, start } = *operands;
    let start = start.map_or(std::ptr::null(), <[i32]>::as_ptr);
    let mut first = 0;
    while first < rows {
        // SAFETY: `check` holds what a panel reads inside the slices: rows up to stride·(rows − 1) + length, 8 columns
        // of `length`, sums of 8 per row.
        unsafe {
            let left = left.as_ptr().add(first * stride);
            let sums = sums.as_mut_ptr().add(first * COLUMNS);
            first += match rows - first {
                8.. => panel::<8>(left, stride, right.as_ptr(), length, start, sums),
                4.. => panel::<4>(left, stride, right.as_ptr(), length, start, sums),
                2.. => panel::<2>(left, stride, right.as_ptr(), length, start, sums),
                _ => panel::<1>(left, stride, right.as_ptr(), length, start, sums),
            };
        }
    }
}

/// Sums of `R` rows, from `start` unless it is null. Returns their number.
///
/// # Safety
/// `left` points to `R` rows, `right` to 8 packed columns of `length` values, `start` to 8 and `sums` to 8·`R` sums.
#[target_feature(enable = "neon,dotprod")]
unsafe fn panel<const R: usize>(
    left: *const i8,
    stride: usize,
    right: *const i8,
    length: usize,
    start: *const i32,
    sums: *mut i32,
) -> usize {
    // SAFETY: as the caller promises; 16 values are read where 16 are left, 8 where 8 are.
    unsafe {
        let rows: [*const i8; R] = std::array::from_fn(|r| left.add(r * stride));
        let (origin, step) = if start.is_null() { (sums.cast_const(), COLUMNS) } else { (start, 0) };
        let mut totals: [[int32x4_t; 2]; R] =
            std::array::from_fn(|r| [0, 4].map(|c| vld1q_s32(origin.add(r * step + c))));
        let mut columns = right;
        let mut at = 0;
        while at + 16 <= length {
            let x = rows.map(|row| vld1q_s8(row.add(at)));
            group::<R, 0>(&mut totals, &x, columns);
            group::<R, 1>(&mut totals, &x, columns.add(32));
            group::<R, 2>(&mut totals, &x, columns.add(64));
            group::<R, 3>(&mut totals, &x, columns.add(96));
            columns = columns.add(16 * COLUMNS);
            at = neon::offset(at + 16);
        }
        if at < length {
            let x = rows.map(|row| vcombine_s8(vld1_s8(row.add(at)), vdup_n_s8(0)));
            group::<R, 0>(&mut totals, &x, columns);
            group::<R, 1>(&mut totals, &x, columns.add(32));
        }
        for (r, totals) in totals.into_iter().enumerate() {
            vst1q_s32(sums.add(r * COLUMNS), totals[0]);
            vst1q_s32(sums.add(r * COLUMNS + 4), totals[1]);
        }
    }
    R
}

/// Adds four products per row and column: those of `LANE` of the rows.
///
/// # Safety
/// `columns` points to 32 weights.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn group<const R: usize, const LANE: i32>(
    totals: &mut [[int32x4_t; 2]; R],
    x: &[int8x16_t; R],
    columns: *const i8,
) {
    // SAFETY: as the caller promises.
    let w = unsafe { [vld1q_s8(columns), vld1q_s8(columns.add(16))] };
    for (totals, &x) in totals.iter_mut().zip(x) {
        for (total, w) in totals.iter_mut().zip(w) {
            *total = dot::<LANE>(*total, w, x);
        }
    }
}

/// `vdotq_laneq_s32`, which the oldest Rust that this crate supports has not.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const LANE: i32>(total: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut total = total;
    // SAFETY: it touches nothing but its operands.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{3}]", inlateout(vreg) total, in(vreg) w, in(vreg) x, const LANE,
            options(pure, nomem, nostack, preserves_flags));
    }
    total
}
