//! Every score against a hand-reckoned value on a shelf with D = 3 and C = 2, and what is refused instead of scored.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod maker;

use maker::{complete, header, matrix, shelf_of, vector};
use proptest::prelude::{ProptestConfig, prop};
use proptest::{prop_assert, proptest};
use shelfwatch_core::{Error, Judgement, MAX_NEIGHBOURS, ScoreKind, SectionKind, Shelf};

/// h − μ = (2, 2, 2).
const H: [f32; 3] = [3.0, 4.0, 5.0];
const LOGITS: [f32; 2] = [1.0, 3.0];

#[test]
fn each_score_has_its_hand_reckoned_value() {
    let file = complete().file();
    let shelf = Shelf::parse(&file).unwrap();
    let p = 1.0 / (1.0 + (-2.0_f64).exp());
    let energy = 3.0 - p.ln();
    let unit = [3.0, 4.0, 5.0].map(|h| h / 50.0_f64.sqrt());
    let (x, y, z) = (unit[0] - 0.5, unit[1] - 0.5, unit[2] - 0.5);
    let whitened = [2.0 * x, 4.0 * y, 2.0 * y + 2.0 * z];
    let to = |mean: f64| whitened.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>();
    for kind in ScoreKind::ALL {
        let expected = match kind {
            ScoreKind::Neco => 2.0 / 12.0_f64.sqrt(),
            ScoreKind::NecoMl => 3.0 * 2.0 / 12.0_f64.sqrt(),
            // z = (4, 1, 2), of which the projection keeps the middle.
            ScoreKind::NecoStd => 1.0 / 21.0_f64.sqrt(),
            ScoreKind::NecoStdMl => 3.0 / 21.0_f64.sqrt(),
            // h − u = (3, 4, 4), of which the projection keeps the last.
            ScoreKind::Residual => -5.0,
            ScoreKind::Vim => energy - 0.25 * 5.0,
            // A (h − μ) = (2, 4, 1); the means are (1, 0, 0) and (0, 2, 0).
            ScoreKind::Mahalanobis => -9.0,
            ScoreKind::MahalanobisPp => -to(0.0).min(to(1.0)),
            ScoreKind::Knn => -(2.0 - 2.0 * unit[1]).sqrt(),
            ScoreKind::Nci => 2.0 / 12.0_f64.sqrt() + 0.125 * 12.0,
            ScoreKind::Fdbd => (2.0 / 2.0) / 12.0_f64.sqrt(),
            ScoreKind::Msp => p,
            ScoreKind::MaxLogit => 3.0,
            ScoreKind::Energy => energy,
            ScoreKind::Gen => -2.0 * (p * (1.0 - p)).sqrt(),
        };
        let found = shelf.single(kind, &H, &LOGITS, &mut [f32::NAN; 6]).unwrap();
        assert!((f64::from(found) - expected).abs() < 1e-6 * expected.abs().max(1.0), "{kind:?}: {found} {expected}");
    }
}

#[test]
fn a_sum_adds_weighted_distances_from_the_offsets() {
    let mut sum = header(&[ScoreKind::Neco, ScoreKind::MaxLogit]);
    sum.terms[0].offset = 0.5;
    sum.terms[0].weight = 4.0;
    sum.terms[1].offset = 1.0;
    sum.terms[1].weight = 0.5;
    let file = shelf_of(&[ScoreKind::Neco]).replaced(SectionKind::Header, maker::header_section(&sum)).file();
    let shelf = Shelf::parse(&file).unwrap();
    let expected = 4.0 * (2.0 / 12.0_f32.sqrt() - 0.5) + 0.5 * (3.0 - 1.0);
    assert!((shelf.score(&H, &LOGITS, &mut [0.0; 6]).unwrap() - expected).abs() < 1e-6);
}

#[test]
fn what_is_not_finite_is_refused() {
    let file = complete().file();
    let shelf = Shelf::parse(&file).unwrap();
    // 1e30 is finite, but its square is not: a norm of it would be infinite and a direction would vanish.
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, f32::MAX] {
        for at in 0..3 {
            let mut h = H;
            h[at] = bad;
            assert_eq!(shelf.score(&h, &LOGITS, &mut [0.0; 6]), Err(Error::NotFinite("feature")));
            assert_eq!(shelf.squared_residual(&h, &mut [0.0; 6]), Err(Error::NotFinite("feature")));
            if !bad.is_finite() {
                let heat = shelf.heat_map(&h, &mut [0.0; 6], &mut [0.0]);
                assert_eq!(heat, Err(Error::NotFinite("map")));
            }
            for kind in ScoreKind::ALL {
                assert_eq!(shelf.single(kind, &h, &LOGITS, &mut [0.0; 6]), Err(Error::NotFinite("feature")));
            }
        }
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for logits in [[bad, 1.0], [1.0, bad]] {
            assert_eq!(shelf.score(&H, &logits, &mut [0.0; 6]), Err(Error::NotFinite("logits")));
        }
    }
    // The largest logits there are give a number or an error, for every score.
    for kind in ScoreKind::ALL {
        for logits in [[f32::MAX, f32::MAX], [f32::MAX, f32::MIN], [f32::MIN, f32::MIN]] {
            let found = shelf.single(kind, &H, &logits, &mut [0.0; 6]);
            assert!(found.is_err() || found.is_ok_and(f32::is_finite), "{kind:?} {logits:?}");
        }
    }
}

#[test]
fn an_overflow_behind_a_finite_feature_is_an_error_and_not_the_most_familiar_value() {
    let h = [1e19, 1e19, -1e19];
    for kind in [ScoreKind::Residual, ScoreKind::Vim, ScoreKind::Mahalanobis] {
        let origin = [3e38, -3e38, 3e38];
        let file = complete()
            .replaced(SectionKind::VimOrigin, vector(&origin))
            .replaced(SectionKind::Centre, vector(&origin))
            .file();
        let shelf = Shelf::parse(&file).unwrap();
        assert_eq!(shelf.single(kind, &h, &LOGITS, &mut [0.0; 6]), Err(Error::NotFinite("score")), "{kind:?}");
    }
}

#[test]
fn a_vector_of_the_wrong_length_is_named() {
    let file = complete().file();
    let shelf = Shelf::parse(&file).unwrap();
    let wrong = |name, expected, found| Err(Error::Dimension { name, expected, found });
    for len in [0, 1, 2, 4, 100] {
        assert_eq!(shelf.score(&vec![1.0; len], &LOGITS, &mut [0.0; 6]), wrong("feature", 3, len));
        assert_eq!(shelf.squared_residual(&vec![1.0; len], &mut [0.0; 6]), wrong("feature", 3, len));
    }
    for len in [0, 1, 3] {
        assert_eq!(shelf.score(&H, &vec![1.0; len], &mut [0.0; 6]), wrong("logits", 2, len));
    }
    assert_eq!(shelf.score(&H, &LOGITS, &mut [0.0; 5]), wrong("scratch", 6, 5));
    let heat = |map: &[f32], out: &mut [f32]| shelf.heat_map(map, &mut [0.0; 6], out).map(|()| 0.0);
    assert_eq!(heat(&[0.0; 11], &mut [0.0; 4]), wrong("map", 12, 11));
    assert_eq!(heat(&[], &mut []), wrong("map", 0, 0));
    let message = shelf.score(&H[..2], &LOGITS, &mut [0.0; 6]).unwrap_err().to_string();
    assert_eq!(message, "feature has 2 values, the shelf needs 3; use the shelf's own backbone");
}

#[test]
fn a_feature_at_the_very_centre_has_no_direction() {
    let file = complete().file();
    let shelf = Shelf::parse(&file).unwrap();
    let single = |kind, h: &[f32]| shelf.single(kind, h, &LOGITS, &mut [0.0; 6]).unwrap();
    for kind in [ScoreKind::Neco, ScoreKind::NecoMl, ScoreKind::NecoStd, ScoreKind::NecoStdMl, ScoreKind::Fdbd] {
        assert!(single(kind, &[1.0, 2.0, 3.0]).abs() < f32::MIN_POSITIVE, "{kind:?}");
    }
    // Only α‖h‖₁ is left of NCI; a feature of zeros is one away from every unit vector.
    assert!((single(ScoreKind::Nci, &[1.0, 2.0, 3.0]) - 0.75).abs() < 1e-6);
    assert!((single(ScoreKind::Knn, &[0.0; 3]) + 1.0).abs() < 1e-6);
}

#[test]
fn a_score_whose_sections_are_absent_says_which() {
    let file = shelf_of(&[ScoreKind::Neco]).file();
    let shelf = Shelf::parse(&file).unwrap();
    for (kind, section) in [
        (ScoreKind::NecoStd, SectionKind::StandardBasis),
        (ScoreKind::Residual, SectionKind::VimOrigin),
        (ScoreKind::Vim, SectionKind::VimOrigin),
        (ScoreKind::Mahalanobis, SectionKind::Whitening),
        (ScoreKind::MahalanobisPp, SectionKind::WhiteningPp),
        (ScoreKind::Knn, SectionKind::Bank),
        (ScoreKind::Nci, SectionKind::Head),
        (ScoreKind::Fdbd, SectionKind::BoundaryNorms),
    ] {
        assert_eq!(shelf.single(kind, &H, &LOGITS, &mut [0.0; 6]), Err(Error::Section(section)));
    }
}

#[test]
fn thresholds_are_strict_and_an_unknown_is_never_a_pass() {
    let file = complete().file();
    let shelf = Shelf::parse(&file).unwrap();
    let below = |value: f32| f32::from_bits(value.to_bits() - 1);
    for (score, expected) in [
        (f32::INFINITY, Judgement::Pass),
        (0.5, Judgement::Pass),
        (below(0.5), Judgement::Review),
        (0.25, Judgement::Review),
        (below(0.25), Judgement::Reject),
        (f32::NEG_INFINITY, Judgement::Reject),
        (f32::NAN, Judgement::Reject),
    ] {
        assert_eq!(shelf.judge(score), expected, "{score}");
    }
}

#[test]
fn p_values_count_the_scores_at_or_below() {
    let file = complete().file();
    let shelf = Shelf::parse(&file).unwrap();
    // Three pairs for four images: between two of them the higher rank that is possible counts.
    for (score, rank) in [(0.0, 0.0), (0.25, 1.0), (0.4, 2.0), (0.5, 3.0), (0.6, 3.0), (0.75, 4.0), (9.0, 4.0)] {
        assert!((shelf.p_value(score) - (rank + 1.0) / 5.0).abs() < 1e-6, "{score}");
    }
    assert!((shelf.p_value(f32::NAN) - 0.2).abs() < 1e-6);
}

#[test]
fn neighbours_beyond_the_bank_are_refused() {
    for (k, fits) in [(0, false), (1, true), (3, true), (4, false), (MAX_NEIGHBOURS as u32 + 1, false)] {
        let mut facts = header(&[ScoreKind::Knn]);
        facts.constants.knn_k = k;
        let file = shelf_of(&[ScoreKind::Knn]).replaced(SectionKind::Header, maker::header_section(&facts)).file();
        let found = Shelf::parse(&file).map(|_| ());
        assert_eq!(found, if fits { Ok(()) } else { Err(Error::Section(SectionKind::Bank)) }, "{k}");
    }
}

/// d orthonormal rows by Gram and Schmidt.
fn orthonormal(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for row in rows {
        let mut row = row.clone();
        for _ in 0..2 {
            for other in &basis {
                let dot: f32 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = row.iter().map(|a| a * a).sum::<f32>().sqrt();
        if norm > 0.1 {
            basis.push(row.iter().map(|a| a / norm).collect());
        }
    }
    basis
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Holds for both layouts, on maps whose mean is the feature.
    #[test]
    fn the_mean_of_the_heat_map_is_the_squared_residual(
        rows in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 12), 1..5),
        map in prop::collection::vec(0.0_f32..4.0, 12 * 9),
        centre in prop::collection::vec(0.0_f32..2.0, 12),
        inverse in prop::collection::vec(0.25_f32..4.0, 12),
        standard in prop::bool::ANY,
    ) {
        let basis = orthonormal(&rows);
        let rows: Vec<&[f32]> = basis.iter().map(Vec::as_slice).collect();
        proptest::prop_assume!(!rows.is_empty());
        let kind = if standard { ScoreKind::NecoStd } else { ScoreKind::Neco };
        let mut facts = header(&[kind]);
        facts.dims.feature = 12;
        facts.dims.components = rows.len() as u32;
        let mut shelf = maker::Maker::new(&facts)
            .with(SectionKind::Centre, vector(&centre))
            .with(SectionKind::Calibration, maker::calibration(&[(0.5, 4)]));
        shelf = if standard {
            shelf.with(SectionKind::InverseScale, vector(&inverse)).with(SectionKind::StandardBasis, matrix(&rows))
        } else {
            shelf.with(SectionKind::Basis, matrix(&rows))
        };
        let file = shelf.file();
        let shelf = Shelf::parse(&file).unwrap();
        let feature: Vec<f32> = map.chunks_exact(9).map(|channel| channel.iter().sum::<f32>() / 9.0).collect();
        let (mut scratch, mut heat) = ([0.0; 24], [0.0; 9]);
        shelf.heat_map(&map, &mut scratch, &mut heat).unwrap();
        let residual = f64::from(shelf.squared_residual(&feature, &mut scratch).unwrap());
        let mean = heat.iter().map(|value| f64::from(*value)).sum::<f64>() / 9.0;
        prop_assert!((mean - residual).abs() <= 1e-4 * residual, "{mean} {residual}");
        // NECO² and the share of the residual add up to one.
        let neco = f64::from(shelf.single(kind, &feature, &LOGITS, &mut scratch).unwrap());
        let z = feature.iter().zip(&centre).zip(&inverse).map(|((h, c), s)| (h - c) * if standard { *s } else { 1.0 });
        let squared: f64 = z.map(|z| f64::from(z) * f64::from(z)).sum();
        prop_assert!((neco * neco + residual / squared - 1.0).abs() < 1e-5);
    }
}
