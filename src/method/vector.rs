//! Dot products and norms of f64 slices with a fixed order of additions, so that results are the same everywhere.

const LANES: usize = 8;

/// `Σ a_i b_i` over the shorter of the two.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    pairwise(lanes) + tail
}

/// `Σ (a_i − b_i)²` over the shorter of the two.
pub(super) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            let difference = x[lane] - y[lane];
            lanes[lane] += difference * difference;
        }
    }
    pairwise(lanes) + tail
}

/// `a − b`, element by element.
pub(super) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

/// `a / ‖a‖`; zeros stay zeros.
pub(super) fn normalised(a: &[f64]) -> Vec<f64> {
    let norm = dot(a, a).sqrt();
    if norm > 0.0 { a.iter().map(|x| x / norm).collect() } else { vec![0.0; a.len()] }
}

/// The f32 values as f64.
pub(super) fn widened(a: &[f32]) -> Vec<f64> {
    a.iter().map(|x| f64::from(*x)).collect()
}

fn pairwise(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::{dot, normalised, squared_distance};

    #[test]
    fn agrees_with_the_plain_sums() {
        let a: Vec<f64> = (0..19).map(f64::from).collect();
        let b: Vec<f64> = (0..19).map(|x| f64::from(x) + 2.0).collect();
        assert!((dot(&a, &b) - a.iter().zip(&b).map(|(x, y)| x * y).sum::<f64>()).abs() < 1e-9);
        assert!((squared_distance(&a, &b) - 76.0).abs() < 1e-12);
        assert_eq!(normalised(&[0.0, 0.0]), [0.0, 0.0]);
    }
}
