//! The calibration scores in the file: how rare is a score among good images? Refuses ranks that do not rise.

use crate::layout::{f32_at, u32_at};

/// Bytes of one pair of score and rank.
const PAIR: usize = 8;

/// Calibration scores, ascending, each with the number of calibration images at or below it.
///
/// With many images the file keeps only some of the pairs; a rank between two pairs counts as the higher one, which
/// makes a p-value too large by less than the gap, never too small.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    pairs: &'a [u8],
    images: u64,
}

impl<'a> Calibration<'a> {
    /// A view of the pairs; `None` unless scores and ranks rise and the last rank is the number of images.
    pub fn parse(bytes: &'a [u8], images: u64) -> Option<Self> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(PAIR) {
            return None;
        }
        let calibration = Self { pairs: bytes, images };
        let mut last: Option<(f32, u32)> = None;
        for (score, rank) in calibration.iter() {
            let rises = last.is_none_or(|(s, r)| score > s && rank > r);
            if !score.is_finite() || rank == 0 || !rises {
                return None;
            }
            last = Some((score, rank));
        }
        (last.map(|(_, rank)| u64::from(rank)) == Some(images)).then_some(calibration)
    }

    /// Pairs of a score and the number of calibration images at or below it.
    pub fn iter(&self) -> impl Iterator<Item = (f32, u32)> + use<'a> {
        self.pairs.chunks_exact(PAIR).map(|pair| (f32_at(pair, 0), u32_at(pair, 4)))
    }

    /// Pairs kept in the file.
    pub fn len(&self) -> usize {
        self.pairs.len() / PAIR
    }

    /// Never true for a parsed section.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// `(1 + #{s_i ≤ s}) / (n + 1)`: the share of good images that look at least as unfamiliar.
    pub fn p_value(&self, score: f32) -> f32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if f32_at(self.pairs, middle * PAIR) <= score { low = middle + 1 } else { high = middle }
        }
        // `low` pairs are at or below the score. Between two kept pairs others may have been left out.
        let below = if low == 0 { 0 } else { u32_at(self.pairs, (low - 1) * PAIR + 4) };
        let exact = low > 0 && f32_at(self.pairs, (low - 1) * PAIR).to_bits() == score.to_bits();
        let rank = if exact || low == self.len() || low == 0 || !self.is_thinned() {
            below
        } else {
            u32_at(self.pairs, low * PAIR + 4) - 1
        };
        ((f64::from(rank) + 1.0) / (self.images as f64 + 1.0)) as f32
    }

    /// Whether the file keeps fewer pairs than there were images. Ties thin it too, which only makes ranks cautious.
    fn is_thinned(&self) -> bool {
        (self.len() as u64) < self.images
    }
}
