//! The two curves of a report as plain numbers: histogram over common bins, and ROC.
//! Expects finite scores; an empty set gives an empty curve.

/// Bins of the histogram.
const BINS: usize = 48;

/// Edges common to all sets: they hold the thresholds, the middle 99 % of the good images and of the strangers
/// the middle 98 % of each set.
pub(super) fn bin_edges(id: &[f64], ood: &[Vec<f64>], thresholds: [f64; 2]) -> Vec<f64> {
    let mut low = thresholds[0].min(thresholds[1]);
    let mut high = thresholds[0].max(thresholds[1]);
    let mut hold = |sorted: &[f64], share: f64| {
        if let (Some(a), Some(b)) = (quantile(sorted, share), quantile(sorted, 1.0 - share)) {
            low = low.min(a);
            high = high.max(b);
        }
    };
    hold(id, 0.005);
    for set in ood {
        hold(set, 0.01);
    }
    let least = 1e-6 * low.abs().max(high.abs()).max(1e-3);
    let margin = ((high - low) * 0.03).max(least);
    let (low, high) = (low - margin, high + margin);
    let step = (high - low) / BINS as f64;
    (0..=BINS).map(|i| low + step * i as f64).collect()
}

/// Nearest-rank quantile of sorted values.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

/// Counts per bin, and how many values lie below the first and above the last edge (counted in the end bins too).
pub(super) fn histogram(values: &[f64], edges: &[f64]) -> (Vec<u64>, u64, u64) {
    let bins = edges.len().saturating_sub(1);
    let mut counts = vec![0; bins];
    let (mut below, mut above) = (0, 0);
    let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else { return (counts, 0, 0) };
    for &value in values {
        below += u64::from(value < low);
        above += u64::from(value > high);
        let right = edges.partition_point(|&edge| edge <= value);
        if let Some(count) = counts.get_mut(right.saturating_sub(1).min(bins.saturating_sub(1))) {
            *count += 1;
        }
    }
    (counts, below, above)
}

/// `[false-alarm rate, share of strangers caught]` of rising thresholds, from sorted scores. All corners up to
/// 64 false alarms, then one in every 3 %.
pub(super) fn roc(id: &[f64], ood: &[f64]) -> Vec<[f64; 2]> {
    if id.is_empty() || ood.is_empty() {
        return Vec::new();
    }
    let below = |sorted: &[f64], t: f64| sorted.partition_point(|&s| s < t) as f64 / sorted.len() as f64;
    let mut points: Vec<[f64; 2]> = Vec::new();
    let mut alarms = 0;
    while let Some(&t) = id.get(alarms) {
        let point = [below(id, t), below(ood, t)];
        if points.last() != Some(&point) {
            points.push(point);
        }
        alarms += 1 + if alarms < 64 { 0 } else { alarms * 3 / 100 };
    }
    points.push([1.0, 1.0]);
    points
}

/// Share of strangers that pass when the threshold flags as many good images as it can up to `alarms`.
pub(super) fn matched_escape(id: &[f64], ood: &[f64], alarms: u64) -> f64 {
    let passed = match id.get(usize::try_from(alarms).unwrap_or(usize::MAX)) {
        Some(&t) => ood.len() - ood.partition_point(|&s| s < t),
        None => 0,
    };
    passed as f64 / ood.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_counts_every_value_once() {
        let edges = [0.0, 1.0, 2.0];
        assert_eq!(histogram(&[-1.0, 0.0, 0.5, 1.0, 2.0, 3.0], &edges), (vec![3, 3], 1, 1));
        assert_eq!(histogram(&[1.0], &[]), (vec![], 0, 0));
    }

    #[test]
    fn edges_rise_even_when_all_scores_are_equal() {
        for value in [0.0, 1.0, -1e30, 1e-30] {
            let edges = bin_edges(&[value; 3], &[vec![value]], [value; 2]);
            assert!(edges.windows(2).all(|w| w[0] < w[1]), "{value}: {edges:?}");
        }
    }

    #[test]
    fn roc_by_hand() {
        // Good 1 2 3 4, strangers 0 2: below 1 lies one stranger, below 3 both.
        let points = roc(&[1.0, 2.0, 3.0, 4.0], &[0.0, 2.0]);
        assert_eq!(points, [[0.0, 0.5], [0.25, 0.5], [0.5, 1.0], [0.75, 1.0], [1.0, 1.0]]);
        assert!(roc(&[], &[1.0]).is_empty());
        assert!(roc(&vec![0.5; 100_000], &[0.5]).len() < 4);
    }

    #[test]
    fn matched_escape_by_hand() {
        let id = [1.0, 2.0, 3.0, 4.0];
        assert!((matched_escape(&id, &[0.0, 2.0], 0) - 0.5).abs() < 1e-12);
        assert!((matched_escape(&id, &[0.0, 2.0], 2)).abs() < 1e-12);
        assert!((matched_escape(&id, &[0.0, 2.0], 4)).abs() < 1e-12);
    }
}
