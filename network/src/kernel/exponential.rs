//! The exponential function for loops over many values: additions and multiplications alone, in one order, so that it is
//! vectorised and the same to the bit on every processor.

#![expect(clippy::inline_always, reason = "compiled again inside of functions with other instructions")]

use super::plain::ROUND;
use crate::curve::clamped;

/// ln 2 as a short number, which has an exact product with any power that occurs, and what is left of it.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];

/// What follows `1 + x` in e^x, highest power first, for |x| ≤ ln 2 / 2: those of `expf` in the library Cephes.
const TERMS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];

/// e^x to a relative 2e-7 between −87 and the largest that there is; below, e^−87. NaN stays NaN.
#[inline(always)]
pub(super) fn exponential(x: f32) -> f32 {
    let x = clamped(x, -87.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * LN_2[0] - whole * LN_2[1];
    let mut sum = TERMS[0];
    for term in &TERMS[1..] {
        sum = sum * rest + term;
    }
    let value = sum * (rest * rest) + rest + 1.0;
    // 2^128 is no number, but its halves are.
    let power = shifted.to_bits().cast_signed().wrapping_sub(ROUND.to_bits().cast_signed());
    let half = power >> 1;
    value * two_to(half) * two_to(power.wrapping_sub(half))
}

/// 2^power, from −126 to 127.
#[inline(always)]
fn two_to(power: i32) -> f32 {
    f32::from_bits(power.wrapping_add(127).cast_unsigned() << 23)
}

#[cfg(test)]
mod tests {
    use super::exponential;

    #[test]
    fn it_is_e_to_the_x() {
        let mut worst = 0.0_f64;
        for at in -870_000..=887_228 {
            let x = at as f32 * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exponential(x)) / exact - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst} off");
        assert_eq!([0.0, -0.0, 89.0, f32::INFINITY].map(exponential), [1.0, 1.0, f32::INFINITY, f32::INFINITY]);
        let small = exponential(-87.0);
        assert_eq!([-88.0, f32::MIN, f32::NEG_INFINITY].map(exponential), [small; 3]);
        assert!(exponential(f32::NAN).is_nan() && small.is_normal());
    }
}
