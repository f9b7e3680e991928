//! The range of an activation, and the scale and zero point that cover it.

/// Where the values of a tensor lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least value that is kept apart.
    pub low: f32,
    /// The greatest.
    pub high: f32,
}

/// Scale and zero point of an int8 tensor: `real = scale · (q − zero)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) scale: f32,
    pub(super) zero: i8,
}

impl Range {
    /// The asymmetric int8 parameters that cover the range and represent zero exactly.
    pub(super) fn step(self) -> Step {
        let (low, high) = (f64::from(self.low.min(0.0)), f64::from(self.high.max(0.0)));
        let scale = ((high - low) / 255.0) as f32;
        if !scale.is_normal() {
            // Nothing but zero; the zero point says that nothing lies below it.
            return Step { scale: 1.0, zero: if low < 0.0 { 0 } else { -128 } };
        }
        let zero = (-128.0 - low / f64::from(scale)).round_ties_even().clamp(-128.0, 127.0);
        Step { scale, zero: zero as i8 }
    }
}

impl Step {
    /// Whether values at or beyond `bound` all become the integer at the end of the range that is meant.
    pub(super) fn saturates(self, bound: f32, upper: bool) -> bool {
        let q = (f64::from(bound) / f64::from(self.scale)).round_ties_even() + f64::from(self.zero);
        if upper { q >= 127.0 } else { q <= -128.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, Step};

    #[test]
    fn zero_is_exact_and_the_ends_saturate() {
        let relu6 = Range { low: 0.0, high: 6.0 }.step();
        assert_eq!(relu6.zero, -128);
        assert!(relu6.saturates(0.0, false) && relu6.saturates(6.0, true) && !relu6.saturates(5.9, true));
        let signed = Range { low: -1.0, high: 3.0 }.step();
        assert_eq!(signed.zero, -64);
        assert!(!signed.saturates(0.0, false));
        // A range that leaves zero out is widened to it.
        assert_eq!(Range { low: 2.0, high: 4.0 }.step(), Range { low: 0.0, high: 4.0 }.step());
        assert_eq!(Range { low: 0.0, high: 0.0 }.step(), Step { scale: 1.0, zero: -128 });
    }
}
