//! First and second moments of a stream of vectors, summed exactly enough that neither order nor sharding matters.

use nalgebra::DMatrix;

use super::double_double::{DoubleDouble, Sums};

const LANES: usize = 4;

/// `Σx` and the lower triangle of `Σxxᵀ`, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    dim: usize,
    pub(super) first: Sums,
    pub(super) second: Sums,
}

impl Moments {
    pub(super) fn zeros(dim: usize) -> Self {
        Self { dim, first: Sums::zeros(dim), second: Sums::zeros(triangle_len(dim)) }
    }

    pub(super) fn from_sums(first: Sums, second: Sums) -> Self {
        Self { dim: first.len(), first, second }
    }

    /// Adds the rows of a block (row-major, `dim` wide). Rows hold f32 values, so every product is exact.
    pub(super) fn add_rows(&mut self, block: &[f64]) {
        for row in block.chunks_exact(self.dim) {
            self.first.add(row);
        }
        let mut start = 0;
        for i in 0..self.dim {
            let end = start + i + 1;
            add_products(&mut self.second.high[start..end], &mut self.second.low[start..end], block, self.dim, i);
            start = end;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.first.merge(&other.first);
        self.second.merge(&other.second);
    }

    /// The covariance with divisor `count`, from `(n Σxxᵀ − Σx Σxᵀ) / n²` without cancellation.
    pub(super) fn covariance(&self, count: f64) -> DMatrix<f64> {
        let mut covariance = DMatrix::zeros(self.dim, self.dim);
        let mut index = 0;
        for i in 0..self.dim {
            let row = self.first.get(i);
            for j in 0..=i {
                let scaled: DoubleDouble = self.second.get(index).times(count);
                let value = scaled.minus_pair(row.times_pair(self.first.get(j))).value() / (count * count);
                covariance[(i, j)] = value;
                covariance[(j, i)] = value;
                index += 1;
            }
        }
        covariance
    }

    /// Bytes of the sums.
    pub(super) fn size(&self) -> usize {
        16 * (self.first.len() + self.second.len())
    }
}

/// Entries of a lower triangle with its diagonal.
pub(super) const fn triangle_len(dim: usize) -> usize {
    dim * (dim + 1) / 2
}

/// `high, low [j] += row[i] · row[j]` for every row of the block. The block loop is innermost, so the sums are
/// loaded and stored once per block.
fn add_products(high: &mut [f64], low: &mut [f64], block: &[f64], dim: usize, i: usize) {
    let whole = high.len() / LANES * LANES;
    let (high_whole, high_tail) = high.split_at_mut(whole);
    let (low_whole, low_tail) = low.split_at_mut(whole);
    let chunks = high_whole.chunks_exact_mut(LANES).zip(low_whole.chunks_exact_mut(LANES));
    for (chunk, (high, low)) in chunks.enumerate() {
        let j = chunk * LANES;
        let mut sums = [DoubleDouble::default(); LANES];
        for lane in 0..LANES {
            sums[lane] = DoubleDouble { high: high[lane], low: low[lane] };
        }
        for row in block.chunks_exact(dim) {
            let (factor, others) = (row[i], &row[j..j + LANES]);
            for lane in 0..LANES {
                sums[lane] = sums[lane].plus(factor * others[lane]);
            }
        }
        for lane in 0..LANES {
            (high[lane], low[lane]) = (sums[lane].high, sums[lane].low);
        }
    }
    for (offset, (high, low)) in high_tail.iter_mut().zip(low_tail).enumerate() {
        let mut sum = DoubleDouble { high: *high, low: *low };
        for row in block.chunks_exact(dim) {
            sum = sum.plus(row[i] * row[whole + offset]);
        }
        (*high, *low) = (sum.high, sum.low);
    }
}
