//! Whether one score separates better than another on the same images, beyond noise.
//! `DeLong`, `DeLong` and Clarke-Pearson 1988; with fewer than two images a side nothing is said.

use crate::evaluate::evaluation::Contrast;

/// A difference in AUROC below this is of no practical weight.
const LEAST_DIFFERENCE: f64 = 0.02;
/// Standard errors: fourteen other scores are looked at, so two would be too few.
const LEAST_ERRORS: f64 = 3.0;

/// AUROC of `other` minus AUROC of `base`, with its standard error. Each is `(good images, strangers)` in the
/// same order of images for both.
pub(super) fn contrast(other: (&[f64], &[f64]), base: (&[f64], &[f64])) -> Option<Contrast> {
    let (other_id, other_ood) = placements(other);
    let (base_id, base_ood) = placements(base);
    let (difference, id_error) = mean_and_error(&other_id, &base_id)?;
    let (_, ood_error) = mean_and_error(&other_ood, &base_ood)?;
    let standard_error = (id_error + ood_error).sqrt();
    Some(Contrast {
        difference,
        standard_error,
        clearly_better: difference >= LEAST_DIFFERENCE && difference > LEAST_ERRORS * standard_error,
    })
}

/// For each good image the share of strangers below it, for each stranger the share of good images above it;
/// ties count half.
fn placements((id, ood): (&[f64], &[f64])) -> (Vec<f64>, Vec<f64>) {
    let below = |sorted: &[f64], x: f64| {
        let less = sorted.partition_point(|&s| s < x);
        let less_or_equal = sorted.partition_point(|&s| s <= x);
        (less + less_or_equal) as f64 / 2.0 / sorted.len().max(1) as f64
    };
    let (sorted_id, sorted_ood) = (sorted(id), sorted(ood));
    let of_id = id.iter().map(|&x| below(&sorted_ood, x)).collect();
    let of_ood = ood.iter().map(|&x| 1.0 - below(&sorted_id, x)).collect();
    (of_id, of_ood)
}

/// The values in rising order.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Mean of the differences and the squared error of that mean; `None` below two values.
fn mean_and_error(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    let n = a.len().min(b.len());
    if n < 2 {
        return None;
    }
    let mean = a.iter().zip(b).map(|(x, y)| x - y).sum::<f64>() / n as f64;
    let squares: f64 = a.iter().zip(b).map(|(x, y)| (x - y - mean).powi(2)).sum();
    Some((mean, squares / (n - 1) as f64 / n as f64))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_do_not_differ() {
        let (id, ood) = ([3.0, 4.0, 5.0], [1.0, 2.0, 4.0]);
        let found = contrast((&id, &ood), (&id, &ood)).unwrap();
        assert!(found.difference.abs() < 1e-15 && found.standard_error.abs() < 1e-15);
        assert!(!found.clearly_better);
    }

    #[test]
    fn by_hand() {
        // Base: strangers 1 and 3 among good 2 and 4: three of four pairs in order. Other: all four.
        let found = contrast((&[3.0, 4.0], &[1.0, 2.0]), (&[2.0, 4.0], &[1.0, 3.0])).unwrap();
        assert!((found.difference - 0.25).abs() < 1e-12);
        // Differences of the placements are ½ and 0 on both sides: variance ⅛ each, over two images.
        assert!((found.standard_error - 0.125_f64.sqrt()).abs() < 1e-12);
        assert!(!found.clearly_better, "two images a side show nothing");
    }

    #[test]
    fn a_clear_win_is_seen_and_one_image_is_not_enough() {
        let id: Vec<f64> = (0..200).map(|i| 10.0 + f64::from(i)).collect();
        let good: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0).collect();
        let mixed: Vec<f64> = (0..200).map(|i| 10.0 + f64::from(i) / 1.5).collect();
        assert!(contrast((&id, &good), (&id, &mixed)).unwrap().clearly_better);
        assert!(contrast((&id[..1], &good), (&id[..1], &mixed)).is_none());
    }
}
