//! Statistics: merging gives the bits of one pass, memory does not grow with the images, hostile bytes are refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::proptest;
use shelfwatch::backbone::Head;
use shelfwatch::method::{Collapse, MethodError, Options, Parameters, Provenance, Statistics, Warning};
use shelfwatch_core::ScoreKind;

/// A xorshift generator, so that the images are the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in [0, 1).
    fn share(&mut self) -> f32 {
        (self.roll() >> 40) as f32 / (1 << 24) as f32
    }

    /// Roughly normal.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.share()).sum::<f32>() - 6.0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = (self.roll() % (last as u64 + 1)) as usize;
            items.swap(last, other);
        }
    }
}

struct Image {
    key: u64,
    feature: Vec<f32>,
    logits: Vec<f32>,
    label: usize,
}

/// Post-ReLU features of very different scales, three classes.
fn images(dice: &mut Dice, count: usize, dim: usize) -> Vec<Image> {
    let image = |_| {
        let label = (dice.roll() % 3) as usize;
        let mut value = |channel: usize| {
            let scale = [1.0, 30.0, 1e-3][channel % 3];
            (dice.normal() + if channel % 3 == label { 2.0 } else { 0.0 }).max(0.0) * scale
        };
        let feature: Vec<f32> = (0..dim).map(&mut value).collect();
        let logits = (0..3).map(|class| dice.normal() + if class == label { 4.0 } else { 0.0 }).collect();
        Image { key: dice.roll(), feature, logits, label }
    };
    (0..count).map(image).collect()
}

fn empty(dim: usize, labels: [&str; 3]) -> Statistics {
    Statistics::new(dim, 3, labels.map(String::from).to_vec()).unwrap()
}

fn add(statistics: &mut Statistics, image: &Image, label: usize) {
    statistics.add(image.key, &image.feature, &image.logits, Some(label)).unwrap();
}

#[test]
fn order_and_sharding_do_not_change_a_bit() {
    let mut dice = Dice(7);
    let mut images = images(&mut dice, 3000, 21);
    let mut one_pass = empty(21, ["a", "b", "c"]);
    for image in &images {
        add(&mut one_pass, image, image.label);
    }
    let bytes = one_pass.to_bytes();
    for shards in [1, 2, 3, 7, 50] {
        dice.shuffle(&mut images);
        // Every other shard declares its classes in another order.
        let mut parts: Vec<Statistics> = (0..shards)
            .map(|shard| empty(21, if shard % 2 == 0 { ["a", "b", "c"] } else { ["c", "b", "a"] }))
            .collect();
        for image in &images {
            let shard = (dice.roll() % shards) as usize;
            let label = if shard.is_multiple_of(2) { image.label } else { 2 - image.label };
            add(&mut parts[shard], image, label);
        }
        dice.shuffle(&mut parts);
        let mut merged = parts.pop().unwrap();
        for part in &parts {
            merged.merge(&Statistics::from_bytes(&part.to_bytes()).unwrap()).unwrap();
        }
        assert!(merged.to_bytes() == bytes, "{shards} shards differ from one pass");
        let (a, b) = (fit(&merged), fit(&one_pass));
        assert_eq!(a, b);
    }
}

fn fit(statistics: &Statistics) -> Parameters {
    Parameters::fit(statistics, None, &Options::default()).unwrap()
}

#[test]
fn sums_are_those_of_a_plain_computation() {
    let mut dice = Dice(3);
    let images = images(&mut dice, 501, 9);
    let mut statistics = empty(9, ["a", "b", "c"]);
    for image in &images {
        add(&mut statistics, image, image.label);
    }
    let count = images.len() as f64;
    let mean: Vec<f64> =
        (0..9).map(|j| images.iter().map(|image| f64::from(image.feature[j])).sum::<f64>() / count).collect();
    for (found, expected) in statistics.mean().iter().zip(&mean) {
        assert!((found - expected).abs() < 1e-13 * expected.abs().max(1e-3));
    }
    let parameters = fit(&statistics);
    let pca = parameters.neco_std.pca();
    for (j, scale) in pca.scale.iter().enumerate() {
        let variance = images.iter().map(|image| (f64::from(image.feature[j]) - mean[j]).powi(2)).sum::<f64>() / count;
        assert!((scale * scale / variance - 1.0).abs() < 1e-12);
    }
    assert!((pca.variances.iter().sum::<f64>() - 9.0).abs() < 1e-12);
    assert_eq!(statistics.class_counts().iter().map(|(_, count)| count).sum::<u64>(), 501);
}

#[test]
fn memory_does_not_grow_with_the_images() {
    let mut dice = Dice(5);
    let mut statistics = empty(6, ["a", "b", "c"]);
    let pool = images(&mut dice, 100, 6);
    let mut sizes = Vec::new();
    for round in 0..200_000_u64 {
        let image = &pool[(round % 100) as usize];
        statistics.add(dice.roll(), &image.feature, &image.logits, Some(image.label)).unwrap();
        if [2_999, 9_999, 199_999].contains(&round) {
            sizes.push((statistics.size(), statistics.to_bytes().len() / 1000));
        }
    }
    assert!(sizes[0] == sizes[1] && sizes[1] == sizes[2], "{sizes:?}");
    assert_eq!(statistics.sample().len(), 2048);
}

#[test]
fn classes_come_from_labels_or_logits_or_are_one() {
    let mut predicted = Statistics::new(2, 3, vec![]).unwrap();
    predicted.add(1, &[1.0, 2.0], &[0.0, 5.0, 5.0], None).unwrap();
    assert_eq!(predicted.class_counts(), [("predicted class 1".to_owned(), 1)]);
    assert!(predicted.add(2, &[1.0, 2.0], &[0.0, 1.0, 0.0], Some(0)).is_err());
    let mut single = Statistics::new(2, 0, vec![]).unwrap();
    single.add(1, &[1.0, 2.0], &[], None).unwrap();
    assert_eq!(single.class_counts(), [("all".to_owned(), 1)]);
    let mut labelled = empty(2, ["a", "b", "c"]);
    assert_eq!(labelled.add(1, &[1.0, 2.0], &[0.0; 3], None), Err(MethodError::LabelMissing));
    assert!(labelled.add(1, &[1.0, 2.0], &[0.0; 3], Some(3)).is_err());
    assert!(Statistics::new(2, 0, vec!["a".into(), "a".into()]).is_err());
    assert!(Statistics::new(1, 0, vec![]).is_err());
}

#[test]
fn refuses_what_is_not_finite_or_does_not_belong() {
    let mut statistics = Statistics::new(3, 0, vec![]).unwrap();
    let error = statistics.add(1, &[0.0, f32::NAN, 0.0], &[], None).unwrap_err();
    assert!(error.to_string().starts_with("feature value 1 is NaN; "), "{error}");
    assert!(statistics.add(1, &[0.0; 2], &[], None).is_err() && statistics.add(1, &[0.0; 3], &[1.0], None).is_err());
    assert_eq!(statistics.images(), 0);
    let mut other = Statistics::new(3, 0, vec![]).unwrap();
    other.set_provenance(Provenance { backbone_sha256: [1; 32], ..Provenance::default() });
    assert!(statistics.merge(&other).unwrap_err().to_string().contains("differ in backbone"));
    let wider = Statistics::new(4, 0, vec![]).unwrap();
    assert!(statistics.merge(&wider).unwrap_err().to_string().contains("differ in feature channels (3 and 4)"));
}

#[test]
fn odd_image_sets_give_a_clear_message() {
    let mut statistics = Statistics::new(3, 2, vec![]).unwrap();
    let parameters = |statistics: &Statistics| Parameters::fit(statistics, None, &Options::default());
    assert_eq!(parameters(&statistics).unwrap_err(), MethodError::TooFewImages { have: 0, need: 2 });
    for key in 0..5 {
        statistics.add(key, &[0.1, 0.7, 1e6], &[1.0, 0.0], None).unwrap();
    }
    assert_eq!(parameters(&statistics).unwrap_err(), MethodError::ConstantFeatures { dim: 3, images: 5 });
    statistics.add(9, &[0.2, 0.7, 1e6], &[-1.0, -2.0], None).unwrap();
    statistics.add(10, &[0.3, 0.7, 1e6], &[1.0, -2.0], None).unwrap();
    let fitted = parameters(&statistics).unwrap();
    assert_eq!(fitted.warnings, [Warning::DeadChannels { channels: vec![1, 2] }]);
    assert_eq!(statistics.max_logit_not_positive(), 1);
    assert!(Collapse::measure(&statistics).unwrap().plain().contains("fewer than two classes"));
    let scores = fitted.scores(&[0.1, 0.7, 1e6], &[1.0, 0.0]).unwrap();
    assert!((scores.get(ScoreKind::Neco).unwrap() - 1.0).abs() < 1e-9);
    assert!(scores.get(ScoreKind::Vim).is_none() && scores.get(ScoreKind::Energy).is_some());
    assert!(fitted.scores(&[f32::INFINITY, 0.0, 0.0], &[1.0, 0.0]).is_err());
    let head = Head { weights: vec![0.0; 4], bias: vec![0.0; 2], classes: 2, dim: 2 };
    assert!(Parameters::fit(&statistics, Some(&head), &Options::default()).is_err());
}

#[test]
fn every_score_is_offered_with_a_head_and_only_feature_scores_without_logits() {
    let mut dice = Dice(11);
    let images = images(&mut dice, 200, 12);
    let mut with = empty(12, ["a", "b", "c"]);
    let mut without = Statistics::new(12, 0, vec![]).unwrap();
    for image in &images {
        add(&mut with, image, image.label);
        without.add(image.key, &image.feature, &[], None).unwrap();
    }
    let weights = (0..36).map(|_| dice.normal()).collect();
    let head = Head { weights, bias: vec![0.5, -0.2, 0.1], classes: 3, dim: 12 };
    let all = Parameters::fit(&with, Some(&head), &Options::default()).unwrap();
    let scores = all.scores(&images[0].feature, &images[0].logits).unwrap();
    assert!(ScoreKind::ALL.into_iter().all(|kind| scores.get(kind).is_some_and(f64::is_finite) && all.offers(kind)));
    let few = Parameters::fit(&without, None, &Options::default()).unwrap();
    let scores = few.scores(&images[0].feature, &[]).unwrap();
    for kind in ScoreKind::ALL {
        assert_eq!(scores.get(kind).is_some(), !kind.needs_logits() && !kind.needs_head(), "{kind:?}");
    }
    let centre: Vec<f32> = few.mean().iter().map(|value| *value as f32).collect();
    assert!(few.scores(&centre, &[]).unwrap().get(ScoreKind::Neco).is_some_and(f64::is_finite));
}

fn small_file() -> Vec<u8> {
    let mut dice = Dice(13);
    let mut statistics = empty(4, ["a", "b", "c"]);
    statistics.set_provenance(Provenance { recipe: "size = 32".into(), ..Provenance::default() });
    for image in images(&mut dice, 20, 4) {
        add(&mut statistics, &image, image.label);
    }
    statistics.to_bytes()
}

/// The bytes with a checksum that fits, so that the parser sees what was altered.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(4);
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes.truncate(end);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

#[test]
fn the_file_is_read_back_and_damage_is_named() {
    let bytes = small_file();
    assert!(Statistics::from_bytes(&bytes).unwrap().to_bytes() == bytes);
    let message = |bytes: &[u8]| Statistics::from_bytes(bytes).unwrap_err().to_string();
    assert!(message(b"hello").contains("not a statistics file"));
    assert!(message(&bytes[..bytes.len() - 3]).contains("copy it again"));
    let mut flipped = bytes.clone();
    flipped[500] ^= 1;
    assert!(message(&flipped).contains("damaged"));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert!(message(&newer).contains("format version 2"));
    for len in 0..bytes.len() {
        assert!(Statistics::from_bytes(&bytes[..len]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn altered_files_never_panic(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), near in any::<bool>()) {
        let mut bytes = small_file();
        let len = if near { 160 } else { bytes.len() };
        for (place, value) in places {
            let at = place.index(len);
            bytes[at] = value;
        }
        if let Ok(statistics) = Statistics::from_bytes(&resealed(bytes)) {
            let _ = Parameters::fit(&statistics, None, &Options::default());
            let _ = Collapse::measure(&statistics);
            let _ = statistics.to_bytes();
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [b"SHELFST\0\x01\0".to_vec(), tail].concat();
        let _ = Statistics::from_bytes(&bytes);
        let _ = Statistics::from_bytes(&resealed(bytes));
    }
}
