//! The promised false-alarm rates hold over 200 random splits of the kit's good images.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod kit;
#[path = "kit/npy.rs"]
mod npy;
#[path = "kit/reference.rs"]
mod reference;
#[path = "kit/table.rs"]
mod table;

use kit::kit;
use reference::{MODELS, Reference};
use shelfwatch::method::{Calibration, Options, Rule, detection};
use shelfwatch_core::ScoreKind;

const SPLITS: u64 = 200;
const DELTA: f64 = 0.05;
/// Calibration images per split. The rest are the test images: many more, so that their rate is close to the true one.
const CALIBRATION: usize = 100;
/// `P(Bin(200, 0.05) > 15) < 0.05`: more splits than this refute the promise of the default score at the 5 % level.
const MOST_BROKEN: u64 = 15;
/// `P(Bin(200, 0.05) > 20) < 0.05 / 36`: the 5 % level over the whole table of six models and six scores.
const MOST_BROKEN_OF_ALL: u64 = 20;
/// The marginal rule promises a mean, which takes more splits to see.
const MARGINAL_SPLITS: u64 = 2000;
const KINDS: [ScoreKind; 6] = [
    ScoreKind::Neco,
    ScoreKind::NecoStd,
    ScoreKind::Vim,
    ScoreKind::Knn,
    ScoreKind::MahalanobisPp,
    ScoreKind::MaxLogit,
];

/// The `SplitMix64` generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(z ^ (z >> 31)) * bound as u128) >> 64) as usize
    }

    fn shuffle(&mut self, scores: &mut [f64]) {
        for last in (1..scores.len()).rev() {
            scores.swap(last, self.below(last + 1));
        }
    }
}

/// How many splits break the rate `alpha`, and the mean rate.
fn splits(scores: &[f64], alpha: f64, rule: Rule, count: u64, seed: u64) -> (u64, f64) {
    let mut dice = Dice(seed);
    let mut scores = scores.to_vec();
    let (mut broken, mut total) = (0, 0.0);
    for _ in 0..count {
        dice.shuffle(&mut scores);
        let (calibration, test) = scores.split_at(CALIBRATION);
        let threshold = Calibration::new(calibration.to_vec()).unwrap().threshold(alpha, rule).unwrap();
        let rate = detection(test, threshold.value);
        broken += u64::from(rate > alpha);
        total += rate;
    }
    (broken, total / count as f64)
}

#[test]
fn rates_hold_over_random_splits() {
    let Some(kit) = kit() else { return };
    for (seed, model) in (1..).zip(MODELS) {
        let reference = Reference::load(&kit, model);
        let fitted = reference.fit(&Options::default()).unwrap();
        let rows = [reference.rows("id_val"), reference.rows("id_test")].concat();
        let scores: Vec<_> = rows.into_iter().map(|row| reference.scores(&fitted, row)).collect();
        for kind in KINDS {
            let scores: Vec<f64> = scores.iter().map(|scores| scores.get(kind).unwrap()).collect();
            let guaranteed = splits(&scores, 0.05, Rule::Guaranteed { delta: DELTA }, SPLITS, seed);
            let marginal = splits(&scores, 0.05, Rule::Marginal { delta: DELTA }, MARGINAL_SPLITS, seed);
            println!(
                "{model} {}: guaranteed 5 %: broken in {} of {SPLITS} splits, mean rate {:.4}; marginal mean rate {:.4}",
                kind.name(),
                guaranteed.0,
                guaranteed.1,
                marginal.1
            );
            let most = if kind == ScoreKind::Neco { MOST_BROKEN } else { MOST_BROKEN_OF_ALL };
            assert!(guaranteed.0 <= most, "{model} {}", kind.name());
            // Three standard errors of the mean of rates that are each about Beta(5, 96).
            assert!(marginal.1 <= 0.05 + 3.0 * 0.0216 / (MARGINAL_SPLITS as f64).sqrt(), "{model} {}", kind.name());
            // The promise is not bought by never alarming.
            assert!(guaranteed.1 > 0.01 && marginal.1 > 0.035, "{model} {}", kind.name());
        }
    }
}

/// Without a kit: uniform scores, whose true rate below t is t itself, so that nothing blurs the count.
#[test]
fn the_guarantee_holds_for_uniform_scores() {
    let mut dice = Dice(99);
    for (images, alpha) in [(59, 0.05), (117, 0.05), (500, 0.01), (2995, 0.001)] {
        let (mut broken, mut total) = (0, 0.0);
        let trials = 2000;
        for _ in 0..trials {
            let scores = (0..images).map(|_| dice.below(1 << 53) as f64 / (1_u64 << 53) as f64).collect();
            let threshold =
                Calibration::new(scores).unwrap().threshold(alpha, Rule::Guaranteed { delta: DELTA }).unwrap();
            broken += u64::from(threshold.value > alpha);
            total += threshold.value;
        }
        println!("n={images} α={alpha}: broken {broken} of {trials}, mean rate {:.5}", total / f64::from(trials));
        // 100 expected at most; 3 standard deviations are 29.
        assert!(broken <= 129, "n={images} alpha={alpha}: {broken}");
    }
}
