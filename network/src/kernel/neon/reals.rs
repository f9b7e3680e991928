//! Products of reals.

use std::arch::aarch64::{
    float32x4_t, vdupq_n_f32, vfmaq_f32, vfmaq_laneq_f32, vfmaq_n_f32, vld1q_f32, vmaxq_f32, vminq_f32, vst1q_f32,
};

use super::super::{DepthwiseRow, Operands, Shape, plain};

const COLUMNS: usize = 8;
pub(super) const SHAPE: Shape = Shape { rows: 8, columns: COLUMNS, depth: 1, fill: 1 };

#[target_feature(enable = "neon")]
pub(super) fn tile(operands: &Operands<'_, f32, f32, f32>, sums: &mut [f32]) {
    operands.check(SHAPE, sums);
    let Operands { left, stride, rows, right, length, start } = *operands;
    let start = start.map_or(std::ptr::null(), <[f32]>::as_ptr);
    let mut first = 0;
    while first < rows {
        // SAFETY: `check` holds what a panel reads inside the slices: rows up to stride·(rows − 1) + length, 8 columns
        // of `length`, sums of 8 per row.
        unsafe {
            let left = left.as_ptr().add(first * stride);
            let sums = sums.as_mut_ptr().add(first * COLUMNS);
            let panel = match rows - first {
                8.. => panel::<8>,
                4.. => panel::<4>,
                2.. => panel::<2>,
                _ => panel::<1>,
            };
            first += panel(left, stride, right.as_ptr(), length, start, sums);
        }
    }
}

/// Sums of `R` rows, from `start` unless it is null. Returns their number.
///
/// # Safety
/// `left` points to `R` rows, `right` to 8 packed columns of `length` values, `start` to 8 and `sums` to 8·`R` sums.
#[target_feature(enable = "neon")]
unsafe fn panel<const R: usize>(
    left: *const f32,
    stride: usize,
    right: *const f32,
    length: usize,
    start: *const f32,
    sums: *mut f32,
) -> usize {
    // SAFETY: as the caller promises; 4 values of each row are read where 4 are left.
    unsafe {
        let rows: [*const f32; R] = std::array::from_fn(|r| left.add(r * stride));
        let (origin, step) = if start.is_null() { (sums.cast_const(), COLUMNS) } else { (start, 0) };
        let mut totals: [[float32x4_t; 2]; R] =
            std::array::from_fn(|r| [0, 4].map(|c| vld1q_f32(origin.add(r * step + c))));
        let mut columns = right;
        let mut at = 0;
        while at + 4 <= length {
            let x = rows.map(|row| vld1q_f32(row.add(at)));
            macro_rules! lane {
                ($($lane:literal)*) => { $(
                    let w = [0, 4].map(|c| vld1q_f32(columns.add($lane * COLUMNS + c)));
                    for r in 0..R {
                        totals[r] = [0, 1].map(|h| vfmaq_laneq_f32::<$lane>(totals[r][h], w[h], x[r]));
                    }
                )* };
            }
            lane!(0 1 2 3);
            columns = columns.add(4 * COLUMNS);
            at += 4;
        }
        while at < length {
            let w = [0, 4].map(|c| vld1q_f32(columns.add(c)));
            for r in 0..R {
                let x = *rows[r].add(at);
                totals[r] = [0, 1].map(|h| vfmaq_n_f32(totals[r][h], w[h], x));
            }
            columns = columns.add(COLUMNS);
            at += 1;
        }
        for (r, totals) in totals.into_iter().enumerate() {
            vst1q_f32(sums.add(r * COLUMNS), totals[0]);
            vst1q_f32(sums.add(r * COLUMNS + 4), totals[1]);
        }
    }
    R
}

#[target_feature(enable = "neon")]
pub(super) fn depthwise(row: &DepthwiseRow<'_, f32, f32, f32>, out: &mut [f32]) {
    let DepthwiseRow { channels, weights, bias, low, high, .. } = *row;
    if channels < 8 {
        plain::depthwise_real(row, out);
        return;
    }
    row.check(out);
    // SAFETY: blocks of 8 end at or before `channels`; `check` holds every address inside its slice.
    unsafe {
        let (least, most) = (vdupq_n_f32(low), vdupq_n_f32(high));
        for block in 0..channels.div_ceil(8) {
            // The last block may overlap the one before.
            let start = (block * 8).min(channels - 8);
            let bias = [0, 4].map(|c| vld1q_f32(bias.as_ptr().add(start + c)));
            let (mut input, mut out) = (row.input.as_ptr().add(start), out.as_mut_ptr().add(start));
            for _ in 0..row.count {
                let mut sums = bias;
                let mut weights = weights.as_ptr().add(start);
                for &place in row.taps {
                    for (h, sum) in sums.iter_mut().enumerate() {
                        *sum = vfmaq_f32(*sum, vld1q_f32(input.add(place + 4 * h)), vld1q_f32(weights.add(4 * h)));
                    }
                    weights = weights.add(channels);
                }
                for (h, sum) in sums.into_iter().enumerate() {
                    vst1q_f32(out.add(4 * h), vminq_f32(vmaxq_f32(sum, least), most));
                }
                input = input.wrapping_add(row.step);
                out = out.wrapping_add(channels);
            }
        }
    }
}
