//! Rates of errors with their bounds, by set and by class.
//! Counts what the device decided; decides nothing itself.

use std::collections::BTreeMap;

use crate::evaluate::evaluation::{ClassFigures, Rate};
use crate::evaluate::scored::{Call, ScoredImage};
use crate::method::{clopper_pearson_lower, clopper_pearson_upper};

/// Which call is an error: a flagged good image, or a passed stranger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Good images: flagging is the error.
    Good,
    /// Strangers: passing is the error.
    Stranger,
}

impl Side {
    /// Errors at the reject and at the review threshold.
    fn errors(self, call: Call) -> (bool, bool) {
        let (rejected, flagged) = (call == Call::Reject, call != Call::Pass);
        match self {
            Self::Good => (rejected, flagged),
            Self::Stranger => (!rejected, !flagged),
        }
    }
}

/// `count` of `of` with one-sided Clopper–Pearson bounds at confidence 1−δ each.
pub(super) fn rate(count: u64, of: u64, delta: f64) -> Rate {
    if of == 0 {
        return Rate { count, of, rate: None, lower: 0.0, upper: 1.0 };
    }
    Rate {
        count,
        of,
        rate: Some(count as f64 / of as f64),
        lower: clopper_pearson_lower(count, of, delta),
        upper: clopper_pearson_upper(count, of, delta),
    }
}

/// Errors at the reject and at the review threshold.
pub(super) fn rates<'a>(images: impl Iterator<Item = &'a ScoredImage>, side: Side, delta: f64) -> (Rate, Rate) {
    let (mut of, mut at_reject, mut at_review) = (0, 0, 0);
    for image in images {
        let (reject, review) = side.errors(image.call);
        of += 1;
        at_reject += u64::from(reject);
        at_review += u64::from(review);
    }
    (rate(at_reject, of, delta), rate(at_review, of, delta))
}

/// The same by folder, in the order of the names; images without a folder are in none.
pub(super) fn class_rates(images: &[&ScoredImage], side: Side, delta: f64) -> Vec<ClassFigures> {
    let mut by_class: BTreeMap<&str, Vec<&ScoredImage>> = BTreeMap::new();
    for &image in images {
        if let Some(class) = &image.class {
            by_class.entry(class).or_default().push(image);
        }
    }
    let figures = by_class.into_iter().map(|(class, members)| {
        let (reject, review) = rates(members.iter().copied(), side, delta);
        ClassFigures { class: class.to_owned(), images: members.len() as u64, reject, review }
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_by_hand() {
        // 0 of 59: 1 − 0.05^(1/59) = 4.95 %; nothing of nothing says nothing.
        let none = rate(0, 59, 0.05);
        assert!(none.lower <= 0.0 && (none.upper - 0.049_508).abs() < 1e-5, "{none:?}");
        let all = rate(59, 59, 0.05);
        assert!((all.lower - (1.0 - 0.049_508)).abs() < 1e-5 && all.upper >= 1.0, "{all:?}");
        let empty = rate(0, 0, 0.05);
        assert!(empty.rate.is_none() && empty.lower <= 0.0 && empty.upper >= 1.0);
    }
}
