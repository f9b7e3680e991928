//! A bank of directions of known features: the KNN score.

use super::vector::{normalised, squared_distance};

/// Normalised features and which neighbour counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Bank {
    /// `h/‖h‖` of every banked image, by key.
    pub rows: Vec<Vec<f64>>,
    /// Which neighbour counts, from 1; no more than there are rows.
    pub neighbour: usize,
}

impl Bank {
    /// `None` without features.
    pub(super) fn new(features: impl Iterator<Item = Vec<f64>>, neighbour: usize) -> Option<Self> {
        let rows: Vec<_> = features.map(|feature| normalised(&feature)).collect();
        let neighbour = neighbour.clamp(1, rows.len().max(1));
        (!rows.is_empty()).then_some(Self { rows, neighbour })
    }

    /// Negated distance of `h/‖h‖` to its k-th neighbour (Sun et al. 2022).
    pub fn score(&self, feature: &[f64]) -> f64 {
        let direction = normalised(feature);
        let mut distances: Vec<f64> = self.rows.iter().map(|row| squared_distance(row, &direction)).collect();
        let (_, kth, _) = distances.select_nth_unstable_by(self.neighbour - 1, f64::total_cmp);
        -kth.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::Bank;

    #[test]
    fn takes_the_kth_neighbour() {
        let bank = Bank::new([vec![2.0, 0.0], vec![0.0, 3.0], vec![-1.0, 0.0]].into_iter(), 2).unwrap();
        assert!((bank.score(&[5.0, 0.0]) + 2.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(Bank::new([vec![1.0, 0.0]].into_iter(), 10).unwrap().neighbour, 1);
        assert!(Bank::new(std::iter::empty(), 10).is_none());
    }
}
