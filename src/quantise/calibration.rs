//! From the values that a tensor had to the range that eight bits are spent on.

use super::histogram::Histogram;
use super::options::Calibration;
use crate::backbone::quantise::Range;

/// Share of the values that `Percentile` leaves outside, both sides together.
const OUTSIDE: f64 = 1e-4;

/// Ranges tried on each side, from the whole down to [`LEAST`] of it.
const STEPS: usize = 100;

/// Smallest share of the whole range that is tried.
const LEAST: f64 = 0.1;

impl Calibration {
    /// The range for these values.
    pub(super) fn range(self, values: &Histogram) -> Range {
        let (low, high) = values.ends();
        match self {
            Self::Minmax => Range { low, high },
            Self::Percentile => percentile(values),
            Self::Mse => mse(values),
        }
    }
}

fn percentile(values: &Histogram) -> Range {
    let (low, high) = values.ends();
    let tail = OUTSIDE / 2.0 * values.total() as f64;
    let mut passed = 0.0;
    let above = values.bins().rev().find(|(_, _, count)| {
        passed += *count as f64;
        passed > tail
    });
    passed = 0.0;
    let below = values.bins().find(|(_, _, count)| {
        passed += *count as f64;
        passed > tail
    });
    let high = above.map_or(high, |(_, edge, _)| high.min((edge as f32).max(0.0)));
    let low = below.map_or(low, |(edge, _, _)| low.max((edge as f32).min(0.0)));
    Range { low, high }
}

/// The range with the least squared error, found one side after the other, twice.
fn mse(values: &Histogram) -> Range {
    let (low, high) = values.ends();
    let whole = [f64::from(low.min(0.0)), f64::from(high.max(0.0))];
    let points: Vec<(f64, f64)> = values.bins().map(|(a, b, count)| (f64::midpoint(a, b), count as f64)).collect();
    let mut best = whole;
    for side in [1, 0, 1, 0] {
        let mut least = error(&points, best);
        let tried = best;
        for step in 0..=STEPS {
            let mut range = tried;
            range[side] = whole[side] * (1.0 - (1.0 - LEAST) * step as f64 / STEPS as f64);
            let found = error(&points, range);
            if found < least {
                (least, best) = (found, range);
            }
        }
    }
    Range { low: best[0] as f32, high: best[1] as f32 }
}

/// Sum of squared differences between the values and what int8 makes of them.
fn error(points: &[(f64, f64)], [low, high]: [f64; 2]) -> f64 {
    let scale = (high - low) / 255.0;
    if scale <= 0.0 {
        return points.iter().map(|(value, count)| count * value * value).sum();
    }
    let zero = (-low / scale).round();
    let one = |(value, count): &(f64, f64)| {
        let q = ((value / scale).round() + zero).clamp(0.0, 255.0) - zero;
        count * (value - q * scale).powi(2)
    };
    points.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::Calibration;
    use crate::seed::Seed;

    /// A bell of two million values and one far away.
    fn outlier() -> Histogram {
        let mut seed = Seed::new(3);
        let mut bell = || (0..12).map(|_| seed.between(-0.5, 0.5)).sum::<f32>();
        let values: Vec<f32> = (0..100_000).map(|_| bell()).collect();
        let mut histogram = Histogram::default();
        for _ in 0..20 {
            histogram.add(&values);
        }
        histogram.add(&[12.0]);
        histogram
    }

    #[test]
    fn an_outlier_widens_the_whole_range_only() {
        let values = outlier();
        let whole = Calibration::Minmax.range(&values);
        assert_eq!(whole.high, 12.0);
        // The least squared error lies near 5: (12 − 5)² and 2·10⁶ · (9/255)² / 12 are 49 and 208, the whole range has 656.
        for calibration in [Calibration::Percentile, Calibration::Mse] {
            let range = calibration.range(&values);
            assert!((2.5..7.0).contains(&range.high) && (-6.0..-2.5).contains(&range.low), "{calibration:?} {range:?}");
        }
    }

    #[test]
    fn a_range_stays_within_the_values_and_holds_zero() {
        let mut one_sided = Histogram::default();
        one_sided.add(&[0.0, 0.0, 1.0, 2.0, 3.0, 6.0]);
        for calibration in [Calibration::Minmax, Calibration::Percentile, Calibration::Mse] {
            let range = calibration.range(&one_sided);
            assert_eq!(range.low, 0.0, "{calibration:?}");
            assert!(range.high <= 6.0 && range.high > 2.0, "{calibration:?} {range:?}");
            let none = calibration.range(&Histogram::default());
            assert_eq!((none.low, none.high), (0.0, 0.0));
        }
    }
}
