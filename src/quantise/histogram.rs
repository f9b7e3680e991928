//! The values of one tensor, counted in bins whose width doubles as larger values come: constant memory, and the same
//! counts whatever the order and the number of threads.

/// Bins on each side of zero.
const HALF: usize = 4096;

/// The reach at first is 2 to this power.
const FIRST: i32 = -40;

/// Counts of values. Bins lie between −2ᵉ and 2ᵉ; exact zeros are counted apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    exponent: i32,
    counts: Vec<u64>,
    zeros: u64,
    low: f32,
    high: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { exponent: FIRST, counts: vec![0; 2 * HALF], zeros: 0, low: f32::INFINITY, high: f32::NEG_INFINITY }
    }
}

impl Histogram {
    /// Counts finite values.
    pub(super) fn add(&mut self, values: &[f32]) {
        let (mut low, mut high) = (self.low, self.high);
        for &value in values {
            low = low.min(value);
            high = high.max(value);
        }
        (self.low, self.high) = (low, high);
        self.reach(low.abs().max(high.abs()));
        // A power of two: the product is exact, so a bin is the same at every width.
        let bins = (HALF as f32) * (-self.exponent as f32).exp2();
        for &value in values {
            if value == 0.0 {
                self.zeros += 1;
            } else {
                let at = (value * bins).floor() as i32 + HALF as i32;
                self.counts[at.clamp(0, 2 * HALF as i32 - 1) as usize] += 1;
            }
        }
    }

    /// Adds what another one counted.
    pub(super) fn merge(&mut self, other: &Histogram) {
        let mut other = other.clone();
        let exponent = self.exponent.max(other.exponent);
        self.widen(exponent);
        other.widen(exponent);
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.zeros += other.zeros;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    /// Widens until `magnitude` lies inside.
    fn reach(&mut self, magnitude: f32) {
        if magnitude.is_finite() && magnitude >= (self.exponent as f32).exp2() {
            let mut exponent = self.exponent;
            while magnitude >= (exponent as f32).exp2() && exponent < 127 {
                exponent += 1;
            }
            self.widen(exponent);
        }
    }

    /// Every doubling joins bins in pairs, from zero outwards.
    fn widen(&mut self, exponent: i32) {
        while self.exponent < exponent {
            let (below, above) = self.counts.split_at(HALF);
            let mut counts = vec![0; 2 * HALF];
            for at in 0..HALF / 2 {
                counts[HALF + at] = above[2 * at] + above[2 * at + 1];
                counts[HALF - 1 - at] = below[HALF - 1 - 2 * at] + below[HALF - 2 - 2 * at];
            }
            self.counts = counts;
            self.exponent += 1;
            if self.counts.iter().all(|&c| c == 0) {
                self.exponent = exponent;
            }
        }
    }

    /// Least and greatest value; zero where nothing was counted.
    pub(super) fn ends(&self) -> (f32, f32) {
        if self.low <= self.high { (self.low, self.high) } else { (0.0, 0.0) }
    }

    /// All values counted.
    pub(super) fn total(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Bins that hold anything, from below: lower edge, upper edge, count. Exact zeros are in none.
    pub(super) fn bins(&self) -> impl DoubleEndedIterator<Item = (f64, f64, u64)> + '_ {
        let width = f64::from(self.exponent).exp2() / HALF as f64;
        let edge = move |at: usize| (at as f64 - HALF as f64) * width;
        self.counts.iter().enumerate().filter(|(_, c)| **c > 0).map(move |(at, &c)| (edge(at), edge(at + 1), c))
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn order_and_pieces_do_not_matter() {
        let mut seed = crate::seed::Seed::new(5);
        let values: Vec<f32> =
            (0..4000).map(|i| seed.between(-3.0, 2.0) * if i % 97 == 0 { 40.0 } else { 0.01 }).collect();
        let mut whole = Histogram::default();
        whole.add(&values);
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        for (at, chunk) in values.chunks(13).rev().enumerate() {
            if at % 3 == 0 { left.add(chunk) } else { right.add(chunk) }
        }
        left.merge(&right);
        assert_eq!(left, whole);
        assert_eq!(whole.total(), 4000);
        let (low, high) = whole.ends();
        assert!(values.iter().all(|v| (low..=high).contains(v)));
        assert!(
            whole.bins().next().unwrap().0 <= f64::from(low) && whole.bins().next_back().unwrap().1 >= f64::from(high)
        );
    }

    #[test]
    fn zeros_and_nothing() {
        let mut none = Histogram::default();
        assert_eq!((none.ends(), none.total()), ((0.0, 0.0), 0));
        none.add(&[0.0; 7]);
        assert_eq!((none.ends(), none.total(), none.bins().count()), ((0.0, 0.0), 7, 0));
        none.add(&[8.0, -8.0]);
        let bins: Vec<_> = none.bins().map(|(low, high, count)| (low <= 8.0 && high >= -8.0, count)).collect();
        assert_eq!(bins, [(true, 1), (true, 1)]);
    }
}
