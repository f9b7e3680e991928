//! How well scores separate good images (`id`) from strangers (`ood`). Low scores mean unfamiliar; ties count half.

/// The area under the ROC curve, good images positive: `P(id > ood) + ½ P(id = ood)`. NaN if either is empty.
pub fn auroc(id: &[f64], ood: &[f64]) -> f64 {
    let ood = sorted(ood);
    let wins: f64 = id
        .iter()
        .map(|score| {
            let below = ood.partition_point(|other| other < score);
            let not_above = ood.partition_point(|other| other <= score);
            0.5 * (below + not_above) as f64
        })
        .sum();
    wins / (id.len() as f64 * ood.len() as f64)
}

/// The share of strangers that pass when 5 % of the good images are rejected: `ood ≥ t`, `t = sorted(id)[⌊0.05 n⌋]`.
/// NaN if either is empty.
pub fn fpr95(id: &[f64], ood: &[f64]) -> f64 {
    // In whole numbers, so that n = 20 gives 1 and not 0.99….
    match sorted(id).get(id.len() / 20) {
        Some(threshold) if !ood.is_empty() => 1.0 - detection(ood, *threshold),
        _ => f64::NAN,
    }
}

/// The share of scores strictly below the threshold: of strangers the detection rate, of good images the false-alarm
/// rate. NaN without scores.
pub fn detection(scores: &[f64], threshold: f64) -> f64 {
    scores.iter().filter(|score| **score < threshold).count() as f64 / scores.len() as f64
}

/// Average precision `Σ (R_n − R_{n−1}) P_n`, a high score meaning positive; equal scores enter together.
/// AUPR-in is `average_precision(id, ood)`; AUPR-out takes both negated, strangers first. NaN without positives.
pub fn average_precision(positive: &[f64], negative: &[f64]) -> f64 {
    let marked = |scores: &[f64], mark: bool| scores.iter().map(|score| (*score, mark)).collect::<Vec<_>>();
    let mut all = [marked(positive, true), marked(negative, false)].concat();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut seen, mut area) = (0, 0, 0.0);
    for tied in all.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let new = tied.iter().filter(|(_, mark)| *mark).count();
        hits += new;
        seen += tied.len();
        area += new as f64 * hits as f64 / seen as f64;
    }
    area / positive.len() as f64
}

fn sorted(scores: &[f64]) -> Vec<f64> {
    let mut scores = scores.to_vec();
    scores.sort_by(f64::total_cmp);
    scores
}

#[cfg(test)]
mod tests {
    use super::{auroc, average_precision, detection, fpr95};

    #[test]
    fn ties_count_half() {
        assert!((auroc(&[1.0, 2.0], &[1.0, 0.0]) - 0.875).abs() < 1e-15);
        assert!((auroc(&[1.0], &[1.0]) - 0.5).abs() < 1e-15);
        assert!(auroc(&[], &[1.0]).is_nan());
    }

    #[test]
    fn fpr95_rejects_a_twentieth() {
        let id: Vec<f64> = (0..20).map(f64::from).collect();
        assert!((fpr95(&id, &[0.0, 1.0, 5.0, 0.5]) - 0.5).abs() < 1e-15);
        assert!(fpr95(&[], &[0.0]).is_nan() && fpr95(&id, &[]).is_nan());
        assert!((detection(&[0.0, 1.0], 1.0) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn average_precision_by_hand() {
        assert!((average_precision(&[3.0, 1.0], &[2.0]) - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-15);
        assert!((average_precision(&[1.0], &[1.0]) - 0.5).abs() < 1e-15);
        assert!((average_precision(&[3.0], &[2.0]) - 1.0).abs() < 1e-15);
    }
}
