//! Sums held as an unevaluated pair of f64 (about 106 bits), so that they do not depend on the order of the addends.

/// The rounded sum of `a` and `b`, and its exact rounding error (Knuth 1969).
#[inline]
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    (sum, error)
}

/// `two_sum` for `|a| ≥ |b|` or `a` a multiple of `b`'s last place (Dekker 1971).
#[inline]
fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// The rounded product of `a` and `b`, and its exact rounding error.
#[inline]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

/// `high + low` with `|low|` at most half a last place of `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct DoubleDouble {
    pub(super) high: f64,
    pub(super) low: f64,
}

impl DoubleDouble {
    /// Adds one f64: exact while the sum is a multiple below 2^105 of the addends' common last place.
    #[inline]
    pub(super) fn plus(self, value: f64) -> Self {
        let (sum, error) = two_sum(self.high, value);
        let (high, low) = quick_two_sum(sum, error + self.low);
        Self { high, low }
    }

    /// Adds another pair, exact under the same condition.
    #[inline]
    pub(super) fn plus_pair(self, other: Self) -> Self {
        let (high, high_error) = two_sum(self.high, other.high);
        let (low, low_error) = two_sum(self.low, other.low);
        let (high, high_error) = quick_two_sum(high, high_error + low);
        let (high, low) = quick_two_sum(high, high_error + low_error);
        Self { high, low }
    }

    /// The product with an f64, to about 2^-104 relative.
    pub(super) fn times(self, factor: f64) -> Self {
        let (high, error) = two_product(self.high, factor);
        let (high, low) = quick_two_sum(high, error + self.low * factor);
        Self { high, low }
    }

    /// The product of two pairs, to about 2^-103 relative.
    pub(super) fn times_pair(self, other: Self) -> Self {
        let (high, error) = two_product(self.high, other.high);
        let (high, low) = quick_two_sum(high, error + (self.high * other.low + self.low * other.high));
        Self { high, low }
    }

    /// The difference, to about 2^-104 of the operands.
    pub(super) fn minus_pair(self, other: Self) -> Self {
        self.plus_pair(Self { high: -other.high, low: -other.low })
    }

    /// The nearest f64.
    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }
}

/// Many sums, as two parallel arrays so that loops over them vectorise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sums {
    pub(super) high: Vec<f64>,
    pub(super) low: Vec<f64>,
}

impl Sums {
    pub(super) fn zeros(len: usize) -> Self {
        Self { high: vec![0.0; len], low: vec![0.0; len] }
    }

    pub(super) fn len(&self) -> usize {
        self.high.len()
    }

    pub(super) fn get(&self, index: usize) -> DoubleDouble {
        DoubleDouble { high: self.high[index], low: self.low[index] }
    }

    /// Adds one value to each sum.
    pub(super) fn add(&mut self, values: &[f64]) {
        for ((high, low), value) in self.high.iter_mut().zip(&mut self.low).zip(values) {
            let sum = DoubleDouble { high: *high, low: *low }.plus(*value);
            (*high, *low) = (sum.high, sum.low);
        }
    }

    /// Adds the other's sums to these, one by one.
    pub(super) fn merge(&mut self, other: &Self) {
        for (index, (high, low)) in self.high.iter_mut().zip(&mut self.low).enumerate() {
            let sum = DoubleDouble { high: *high, low: *low }.plus_pair(other.get(index));
            (*high, *low) = (sum.high, sum.low);
        }
    }

    /// The sums divided by `count`, each rounded once.
    pub(super) fn means(&self, count: f64) -> Vec<f64> {
        (0..self.len()).map(|index| quotient(self.get(index), count)).collect()
    }

    pub(super) fn is_finite(&self) -> bool {
        self.high.iter().chain(&self.low).all(|value| value.is_finite())
    }
}

/// `pair / divisor` to about one last place.
pub(super) fn quotient(pair: DoubleDouble, divisor: f64) -> f64 {
    let first = pair.high / divisor;
    let remainder = (-first).mul_add(divisor, pair.high) + pair.low;
    first + remainder / divisor
}

#[cfg(test)]
mod tests {
    use super::{DoubleDouble, Sums};

    #[test]
    fn keeps_what_a_single_f64_loses() {
        let sum = DoubleDouble::default().plus(1e16).plus(1.0).plus(-1e16);
        assert_eq!(sum.value().to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn products_and_differences_cancel_exactly() {
        let third = DoubleDouble::default().plus(1.0 / 3.0);
        let square = third.times_pair(third);
        assert!(square.minus_pair(third.times(1.0 / 3.0)).value().abs() < 1e-32);
    }

    #[test]
    fn merging_equals_adding() {
        let mut one = Sums::zeros(1);
        let mut two = Sums::zeros(1);
        let mut all = Sums::zeros(1);
        for step in 0..1000_u32 {
            let value = f64::from(step) * 1e-3_f64.powi(i32::try_from(step % 4).unwrap());
            let value = f64::from(value as f32);
            if step % 3 == 0 {
                one.add(&[value]);
            } else {
                two.add(&[value]);
            }
            all.add(&[value]);
        }
        two.merge(&one);
        assert_eq!(two, all);
    }
}
