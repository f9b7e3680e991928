//! What replaying says: whether a score came out again, and what another threshold would have made of past parts.

use std::ops::AddAssign;

use serde::Serialize;

/// Most that a score may move, for scores below 1 in size; larger ones by that share of theirs.
const CLOSE: f32 = 1e-5;

/// Whether a stored image gave the stored score again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// To the last bit.
    Equal,
    /// Within 1e-5 (of the score, where that is above 1), as another processor may give it.
    Close,
    /// Not.
    Differs,
}

impl Agreement {
    /// Compares the score in the journal with the one of today.
    pub fn of(stored: f32, now: f32) -> Self {
        if stored.to_bits() == now.to_bits() {
            Self::Equal
        } else if (stored - now).abs() <= CLOSE * stored.abs().max(1.0) {
            Self::Close
        } else {
            // Also for what is no number.
            Self::Differs
        }
    }

    /// The word in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Close => "close",
            Self::Differs => "differs",
        }
    }
}

/// Past parts of one kind, judged by another reject threshold from their stored scores alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retold {
    /// Parts with a stored score.
    pub parts: u64,
    /// Of these, the ones that would be rejected.
    pub rejected: u64,
}

impl Retold {
    /// One part. As in deciding, a score below the threshold rejects; several parts in a row are not looked at.
    pub fn one(score: f32, threshold: f32) -> Self {
        // A score that is no number is never a pass.
        let passes = score >= threshold;
        Self { parts: 1, rejected: u64::from(!passes) }
    }
}

impl AddAssign for Retold {
    fn add_assign(&mut self, other: Self) {
        self.parts += other.parts;
        self.rejected += other.rejected;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_agree_to_the_bit_or_closely_or_not() {
        let next = f32::from_bits(1.5_f32.to_bits() + 1);
        for (stored, now, expected) in [
            (1.5, 1.5, Agreement::Equal),
            (1.5, next, Agreement::Close),
            (-1000.0, -1000.005, Agreement::Close),
            (0.001, 0.0011, Agreement::Differs),
            (f32::NAN, 1.0, Agreement::Differs),
            (1.0, f32::NAN, Agreement::Differs),
        ] {
            assert_eq!(Agreement::of(stored, now), expected, "{stored} {now}");
        }
    }

    #[test]
    fn a_threshold_rejects_what_lies_below_it() {
        let mut all = Retold::default();
        for score in [-2.0, -1.0, -0.5, f32::NAN] {
            all += Retold::one(score, -1.0);
        }
        assert_eq!(all, Retold { parts: 4, rejected: 2 });
    }
}
