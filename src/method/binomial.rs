//! Tails of the binomial distribution by exact summation, and the beta quantiles and Clopper–Pearson bounds that
//! follow. Accurate for a million trials, where continued fractions of fixed length are not.

/// `P(Bin(trials, p) ≥ k)`.
pub(super) fn upper_tail(trials: u64, p: f64, k: u64) -> f64 {
    if k == 0 {
        1.0
    } else if k > trials || p <= 0.0 {
        0.0
    } else if p >= 1.0 {
        1.0
    } else if k as f64 > trials as f64 * p {
        sum_upwards(trials, p, k)
    } else {
        1.0 - sum_downwards(trials, p, k - 1)
    }
}

/// `Σ_{j≥k} P(j)` for k at or above the mean, where the terms fall.
fn sum_upwards(trials: u64, p: f64, k: u64) -> f64 {
    let odds = p / (1.0 - p);
    let (mut term, mut total) = (1.0, 1.0);
    for j in k..trials {
        term *= (trials - j) as f64 / (j + 1) as f64 * odds;
        total += term;
        if term < total * 1e-18 {
            break;
        }
    }
    (probability(trials, p, k) * total).min(1.0)
}

/// `Σ_{j≤k} P(j)` for k at or below the mean.
fn sum_downwards(trials: u64, p: f64, k: u64) -> f64 {
    let odds = (1.0 - p) / p;
    let (mut term, mut total) = (1.0, 1.0);
    for j in (1..=k).rev() {
        term *= j as f64 / (trials - j + 1) as f64 * odds;
        total += term;
        if term < total * 1e-18 {
            break;
        }
    }
    (probability(trials, p, k) * total).min(1.0)
}

/// `P(Bin(trials, p) = k)` by Loader's saddle-point form (2000), for 0 < p < 1 and k ≤ trials.
fn probability(trials: u64, p: f64, k: u64) -> f64 {
    let n = trials as f64;
    if k == 0 {
        return (n * (-p).ln_1p()).exp();
    }
    if k == trials {
        return (n * p.ln()).exp();
    }
    let (x, rest) = (k as f64, (trials - k) as f64);
    let exponent = stirling_error(trials)
        - stirling_error(k)
        - stirling_error(trials - k)
        - deviance(x, n * p)
        - deviance(rest, n * (1.0 - p));
    exponent.exp() * (n / (std::f64::consts::TAU * x * rest)).sqrt()
}

/// `ln k! − ln(√(2πk) (k/e)^k)`.
fn stirling_error(k: u64) -> f64 {
    let x = k as f64;
    if k < 16 {
        let ln_factorial: f64 = (2..=k).map(|j| j as f64).product::<f64>().ln();
        return ln_factorial - 0.5 * (std::f64::consts::TAU * x).ln() - x * x.ln() + x;
    }
    let square = x * x;
    let series = 1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square;
    (1.0 / 12.0 - (1.0 / 360.0 - series / square) / square) / x
}

/// `x ln(x/m) + m − x` without cancellation near `x = m`.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() + m - x;
    }
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut factor = 2.0 * x * v;
    for j in 1..1000 {
        factor *= v * v;
        let next = sum + factor / f64::from(2 * j + 1);
        if next.to_bits() == sum.to_bits() {
            break;
        }
        sum = next;
    }
    sum
}

/// `BetaInv(probability; k, trials + 1 − k)` for 1 ≤ k ≤ trials: the p at which `P(Bin(trials, p) ≥ k)` is that.
pub(super) fn beta_quantile(probability: f64, k: u64, trials: u64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    while high - low > 1e-15 * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if upper_tail(trials, middle, k) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The Clopper–Pearson upper bound at confidence `1 − delta` of a rate seen `hits` times in `trials`; 1 without trials.
pub fn clopper_pearson_upper(hits: u64, trials: u64, delta: f64) -> f64 {
    if hits >= trials { 1.0 } else { beta_quantile(1.0 - delta, hits + 1, trials) }
}

/// The Clopper–Pearson lower bound at confidence `1 − delta` of a rate seen `hits` times in `trials`; 0 without hits.
pub fn clopper_pearson_lower(hits: u64, trials: u64, delta: f64) -> f64 {
    if hits == 0 || trials == 0 { 0.0 } else { beta_quantile(delta, hits.min(trials), trials) }
}

#[cfg(test)]
mod tests {
    use super::{beta_quantile, clopper_pearson_lower, clopper_pearson_upper, probability, upper_tail};
    use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF};

    /// Every term, by its own recurrence from the mode, normalised by their sum.
    fn brute_tail(trials: u64, p: f64, k: u64) -> f64 {
        let n = usize::try_from(trials).unwrap();
        let mode = (((trials + 1) as f64 * p) as usize).min(n);
        let mut terms = vec![0.0_f64; n + 1];
        terms[mode] = 1.0;
        for j in mode..n {
            terms[j + 1] = terms[j] * ((n - j) as f64 * p) / ((j + 1) as f64 * (1.0 - p));
        }
        for j in (1..=mode).rev() {
            terms[j - 1] = terms[j] * (j as f64 * (1.0 - p)) / ((n - j + 1) as f64 * p);
        }
        let total: f64 = terms.iter().sum();
        terms[usize::try_from(k).unwrap()..].iter().rev().sum::<f64>() / total
    }

    #[test]
    fn tails_agree_with_exact_sums_at_the_extremes() {
        for (trials, p) in [(1_000_000, 1e-4), (1_000_000, 0.05), (1_000_000, 0.5), (59, 0.05), (2995, 1e-3), (7, 0.3)]
        {
            let mean = trials as f64 * p;
            let spread = (mean * (1.0 - p)).sqrt();
            for deviation in [-6.0, -3.0, -1.645, -0.5, 0.0, 0.5, 2.0, 6.0] {
                let k = (mean + deviation * spread).clamp(1.0, trials as f64) as u64;
                let (found, expected) = (upper_tail(trials, p, k), brute_tail(trials, p, k));
                assert!((found - expected).abs() <= 2e-11 * expected, "n={trials} p={p} k={k}: {found} {expected}");
            }
        }
    }

    #[test]
    fn agrees_with_another_implementation_where_that_converges() {
        for (trials, p, k) in [(100, 0.05, 3), (500, 0.01, 9), (20, 0.5, 11)] {
            let other = Binomial::new(p, trials).unwrap();
            assert!((upper_tail(trials, p, k) - other.sf(k - 1)).abs() < 1e-12);
            let beta = Beta::new(k as f64, (trials + 1 - k) as f64).unwrap();
            assert!((beta.cdf(beta_quantile(0.95, k, trials)) - 0.95).abs() < 1e-12);
        }
    }

    #[test]
    fn probabilities_sum_to_one() {
        let total: f64 = (0..=200).map(|k| probability(200, 0.07, k)).sum();
        assert!((total - 1.0).abs() < 1e-13);
    }

    #[test]
    fn bounds_have_their_closed_forms() {
        assert!((clopper_pearson_upper(0, 300, 0.05) - (1.0 - 0.05_f64.powf(1.0 / 300.0))).abs() < 1e-14);
        assert!((clopper_pearson_lower(300, 300, 0.05) - 0.05_f64.powf(1.0 / 300.0)).abs() < 1e-14);
        assert_eq!(
            (clopper_pearson_upper(5, 5, 0.05).to_bits(), clopper_pearson_lower(0, 5, 0.05).to_bits()),
            (1.0_f64.to_bits(), 0)
        );
        assert_eq!(clopper_pearson_upper(0, 0, 0.05).to_bits(), 1.0_f64.to_bits());
    }
}
