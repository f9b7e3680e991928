//! Tells a lasting rise of unfamiliar parts from chance: a CUSUM e-detector over the review alarms.

use core::fmt;

/// λ·α_U: how strongly one alarm speaks for drift.
const BET: f64 = 0.15;

/// Options that no detector can follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DriftError {
    /// The bound on the rate of alarms is not above 0 and below 1.
    Rate(f64),
    /// The run length is not a finite number of at least 1.
    RunLength(f64),
}

impl fmt::Display for DriftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rate(found) => write!(
                f,
                "the bound on the false-alarm rate is {found}, not between 0 and 1; calibrate the shelf again"
            ),
            Self::RunLength(found) => {
                write!(f, "the run length of the drift detector is {found}; set a number of parts of at least 1")
            }
        }
    }
}

impl core::error::Error for DriftError {}

/// Watches the rate of review alarms against the rate that calibration promised.
///
/// `S_t = (1 + λ(A_t − α_U)) · max(S_{t−1}, 1)` with λ = 0.15/α_U; drift is declared at S ≥ c. While alarms come at most
/// at the rate α_U, whatever came before, the mean number of parts until a false declaration is at least c (Shin, Ramdas
/// and Rinaldo, "E-detectors", 2022, arXiv 2203.03532).
///
/// ```
/// use shelfwatch_core::Drift;
/// let mut drift = Drift::new(0.01, 2000.0).unwrap();
/// assert!(!drift.observe(true) && !drift.observe(false) && !drift.observe(true));
/// assert!(drift.observe(true), "a burst that chance does not explain");
/// assert!(!drift.observe(true) && drift.declared(), "declared once, until reset");
/// ```
#[derive(Clone, Debug)]
pub struct Drift {
    on_alarm: f64,
    on_quiet: f64,
    limit: f64,
    value: f64,
    declared: bool,
}

impl Drift {
    /// A detector that has seen nothing. `alpha_upper` is the upper bound on the rate of review alarms of good parts,
    /// `run_length` the least mean number of parts between two false declarations.
    ///
    /// # Errors
    /// [`DriftError`] unless `alpha_upper` lies above 0 and below 1 and `run_length` is finite and at least 1.
    pub const fn new(alpha_upper: f64, run_length: f64) -> Result<Self, DriftError> {
        // Below the least rate its inverse is no number; no calibration comes near it.
        if !(alpha_upper >= f64::MIN_POSITIVE && alpha_upper < 1.0) {
            return Err(DriftError::Rate(alpha_upper));
        }
        if !(run_length >= 1.0 && run_length.is_finite()) {
            return Err(DriftError::RunLength(run_length));
        }
        let lambda = BET / alpha_upper;
        let (on_alarm, on_quiet) = (1.0 + lambda * (1.0 - alpha_upper), 1.0 - BET);
        Ok(Self { on_alarm, on_quiet, limit: run_length, value: 0.0, declared: false })
    }

    /// Takes in one judged part; failed inspections are left out. True on the part that declares drift, once until
    /// [`reset`](Self::reset).
    pub fn observe(&mut self, alarm: bool) -> bool {
        let factor = if alarm { self.on_alarm } else { self.on_quiet };
        self.value = (factor * self.value.max(1.0)).min(f64::MAX);
        let declares = !self.declared && self.value >= self.limit;
        self.declared |= declares;
        declares
    }

    /// The evidence S for drift; it goes on after a declaration and falls when the alarms cease.
    pub const fn value(&self) -> f64 {
        self.value
    }

    /// The evidence at which drift is declared.
    pub const fn limit(&self) -> f64 {
        self.limit
    }

    /// Whether drift has been declared since the last reset.
    pub const fn declared(&self) -> bool {
        self.declared
    }

    /// Begins anew, as after somebody has looked at the process.
    pub const fn reset(&mut self) {
        self.value = 0.0;
        self.declared = false;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    extern crate std;

    use std::vec::Vec;
    use std::{format, println};

    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{Drift, DriftError};

    /// `SplitMix64`: chance from a seed.
    struct Chance(u64);

    impl Chance {
        fn happens(&mut self, rate: f64) -> bool {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / ((1_u64 << 53) as f64) < rate
        }
    }

    /// Parts until drift is declared, at most `most`, each of `runs` times; alarms come at `rate`.
    fn run_lengths(alpha: f64, rate: f64, limit: f64, runs: u64, most: u64) -> Vec<f64> {
        let length = |run| {
            let mut chance = Chance(run);
            let mut drift = Drift::new(alpha, limit).unwrap();
            (1..=most).find(|_| drift.observe(chance.happens(rate))).unwrap_or(most) as f64
        };
        (1..=runs).map(length).collect()
    }

    fn mean_and_error(lengths: &[f64]) -> (f64, f64) {
        let n = lengths.len() as f64;
        let mean = lengths.iter().sum::<f64>() / n;
        let variance = lengths.iter().map(|length| (length - mean) * (length - mean)).sum::<f64>() / (n - 1.0);
        (mean, libm::sqrt(variance / n))
    }

    #[test]
    fn false_declarations_are_at_least_the_run_length_apart() {
        // Runs are cut off, which can only shorten the mean. Four standard errors below it must still keep the promise.
        for alpha in [0.001, 0.01, 0.05, 0.2, 0.5] {
            for limit in [100.0, 2000.0] {
                let (mean, error) = mean_and_error(&run_lengths(alpha, alpha, limit, 500, 20 * limit as u64));
                println!("alpha {alpha}, c {limit}: a false declaration each {mean:.0} ± {error:.0} parts");
                assert!(mean - 4.0 * error >= limit, "alpha {alpha}, c {limit}: {mean} ± {error}");
            }
        }
    }

    #[test]
    fn a_raised_rate_is_found() {
        for alpha in [0.001, 0.01, 0.05, 0.2] {
            for times in [2.0, 4.0] {
                let lengths = run_lengths(alpha, times * alpha, 2000.0, 300, 10_000_000);
                let (mean, error) = mean_and_error(&lengths);
                println!("alpha {alpha}, rate × {times}: found after {mean:.0} ± {error:.0} parts");
                let (false_alarm, _) = mean_and_error(&run_lengths(alpha, alpha, 2000.0, 100, 1_000_000));
                assert!(mean < 0.5 * false_alarm, "alpha {alpha}: {mean} against {false_alarm}");
            }
        }
    }

    #[test]
    fn follows_the_formula() {
        let mut drift = Drift::new(0.1, 10.0).unwrap();
        let mut value = |alarm| {
            drift.observe(alarm);
            drift.value()
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(value(false), 0.85), "1 + 1.5·(0 − 0.1)");
        assert!(near(value(true), 2.35), "1 + 1.5·(1 − 0.1), from max(0.85, 1)");
        assert!(near(value(true), 2.35 * 2.35));
        assert!(near(value(false), 0.85 * 2.35 * 2.35));
        assert!(!drift.declared());
        assert!(drift.observe(true) && drift.declared());
        assert!((0..100).all(|_| !drift.observe(false)) && drift.declared() && drift.value() < 1.0);
        drift.reset();
        assert!(!drift.declared() && drift.value() == 0.0);
    }

    #[test]
    fn endless_alarms_do_not_overflow() {
        for alpha in [f64::MIN_POSITIVE, 1e-12, 0.5, 1.0 - f64::EPSILON] {
            let mut drift = Drift::new(alpha, 1e300).unwrap();
            let declared = (0..10_000).filter(|_| drift.observe(true)).count();
            assert!(drift.value().is_finite() && declared <= 1, "alpha {alpha}: {}", drift.value());
        }
    }

    #[test]
    fn options_that_nobody_can_follow_are_refused() {
        for alpha in [0.0, -0.1, 1.0, 2.0, f64::NAN, f64::INFINITY] {
            let error = Drift::new(alpha, 2000.0).unwrap_err();
            assert!(format!("{error}").contains("; calibrate"), "{error}");
        }
        for limit in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(Drift::new(0.1, limit), Err(DriftError::RunLength(_))));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_best_product_over_all_beginnings(
            alpha in 0.001_f64..0.9, limit in 1.0_f64..1e6, alarms in prop::collection::vec(any::<bool>(), 1..80),
        ) {
            let mut drift = Drift::new(alpha, limit).unwrap();
            let mut once = 0;
            for t in 1..=alarms.len() {
                let before = drift.declared();
                let declares = drift.observe(alarms[t - 1]);
                let factor = |alarm: &bool| 1.0 + 0.15 / alpha * (f64::from(u8::from(*alarm)) - alpha);
                let best = (0..t).map(|from| alarms[from..t].iter().map(factor).product::<f64>()).fold(0.0, f64::max);
                prop_assert!((drift.value() - best).abs() <= 1e-9 * best, "{} {}", drift.value(), best);
                prop_assert_eq!(drift.declared(), before || declares);
                prop_assert_eq!(declares, !before && drift.value() >= limit);
                once += u32::from(declares);
            }
            prop_assert!(once <= 1);
        }
    }
}
