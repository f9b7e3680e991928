//! Bytes from sums.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, int32x4_t, vcombine_s8, vcvtnq_s32_f32, vcvtq_f32_s32, vdupq_n_s8, vdupq_n_s16,
    vget_high_s8, vget_low_s8, vld1q_f32, vld1q_s32, vmaxq_s8, vminq_s8, vmulq_f32, vqaddq_s16, vqmovn_high_s32,
    vqmovn_s16, vqmovn_s32, vst1_s8,
};

use super::super::{Finish, plain};

/// Bounds and zero point, ready for vectors. Whole numbers are rounded first and bounded as bytes, zero point added:
/// the same as the other way round, for the bounds are whole.
pub(super) struct Bounded {
    zero: int16x8_t,
    low: int8x16_t,
    high: int8x16_t,
}

impl Bounded {
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn new(low: f32, high: f32, zero: i8) -> Bounded {
        let byte = |bound: f32| vdupq_n_s8((bound + f32::from(zero)) as i8);
        Bounded { zero: vdupq_n_s16(i16::from(zero)), low: byte(low), high: byte(high) }
    }

    /// 16 bytes from 16 reals.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn bytes(&self, reals: [float32x4_t; 4]) -> int8x16_t {
        let whole = reals.map(|r| vcvtnq_s32_f32(r));
        let half = |a, b| vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), self.zero);
        let (first, second) = (half(whole[0], whole[1]), half(whole[2], whole[3]));
        vminq_s8(vmaxq_s8(vcombine_s8(vqmovn_s16(first), vqmovn_s16(second)), self.low), self.high)
    }

    /// 16 bytes from 16 sums.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn scaled(&self, sums: [int32x4_t; 4], factors: [float32x4_t; 4]) -> int8x16_t {
        self.bytes(std::array::from_fn(|i| vmulq_f32(vcvtq_f32_s32(sums[i]), factors[i])))
    }
}

#[target_feature(enable = "neon")]
pub(super) fn requantise(sums: &[i32], finish: &Finish<'_>, out: &mut [i8]) {
    let Finish { width, rows, columns, factors, low, high, zero, stride } = *finish;
    if columns < 8 {
        plain::requantise(sums, finish, out);
        return;
    }
    assert!(rows > 0 && sums.len() >= (rows - 1) * width + columns, "too few sums");
    assert!(out.len() >= (rows - 1) * stride + columns && factors.len() >= columns, "the result ends too soon");
    let bounded = Bounded::new(low, high, zero);
    for block in 0..columns.div_ceil(8) {
        // The last block may overlap the one before.
        let start = (block * 8).min(columns - 8);
        // SAFETY: 8 values from `start` on are factors, and sums and results of each row, of which the assertions
        // hold the last inside the slices.
        unsafe {
            let factors = [0, 4].map(|c| vld1q_f32(factors.as_ptr().add(start + c)));
            let factors = [factors[0], factors[1], factors[0], factors[1]];
            let mut sums = sums.as_ptr().add(start);
            let mut out = out.as_mut_ptr().add(start);
            for _ in 0..rows / 2 {
                let places = [sums, sums.add(4), sums.add(width), sums.add(width + 4)];
                let bytes = bounded.scaled(places.map(|place| vld1q_s32(place)), factors);
                vst1_s8(out, vget_low_s8(bytes));
                vst1_s8(out.add(stride), vget_high_s8(bytes));
                sums = sums.add(2 * width);
                out = out.add(2 * stride);
            }
            if rows % 2 == 1 {
                let places = [sums, sums.add(4), sums, sums.add(4)];
                let bytes = bounded.scaled(places.map(|place| vld1q_s32(place)), factors);
                vst1_s8(out, vget_low_s8(bytes));
            }
        }
    }
}
