//! A made-up line whose scores are known: good images around 0.9, sets of strangers below.

use std::path::PathBuf;

use shelfwatch::evaluate::{Call, Fault, ImageSet, OperatingPoint, ScoredImage, ShelfFacts};
use shelfwatch_core::ScoreKind;

/// Numbers in [0, 1) that are the same on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, mean 0, standard deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.roll()).sum::<f64>() - 6.0
    }
}

pub(crate) fn point(alpha: f64, threshold: f32) -> OperatingPoint {
    OperatingPoint { alpha, delta: 0.05, n: 600, k: 2, threshold, bound: alpha * 0.9 }
}

pub(crate) fn shelf() -> ShelfFacts {
    ShelfFacts {
        product: "washers, line 3".to_owned(),
        score: "neco".to_owned(),
        kinds: vec![ScoreKind::Neco],
        feature_dim: 1280,
        kept_dim: 88,
        class_names: ["washer", "nut", "gear", "connector"].map(str::to_owned).to_vec(),
        reject: point(0.005, 0.77),
        review: point(0.02, 0.81),
        more: vec![("backbone".to_owned(), "mobilenetv2_100.onnx, sha-256 1f2e…".to_owned())],
    }
}

/// An image with that score, and the same in every kind but for KNN, which separates better by `edge`.
pub(crate) fn image(name: &str, class: Option<&str>, score: f64, edge: f64, shelf: &ShelfFacts) -> ScoredImage {
    let chosen = score as f32;
    let call = if chosen < shelf.reject.threshold {
        Call::Reject
    } else if chosen < shelf.review.threshold {
        Call::Review
    } else {
        Call::Pass
    };
    let offered = |kind: ScoreKind| match kind {
        ScoreKind::Knn => Some(score + edge),
        ScoreKind::Msp => Some(0.5 + 0.1 * (score * 1e4).sin()),
        ScoreKind::Vim => None,
        _ => Some(score),
    };
    ScoredImage {
        path: PathBuf::from(name),
        class: class.map(str::to_owned),
        predicted: Some(name.len() % 5),
        scores: ScoreKind::ALL.map(offered),
        chosen,
        p_value: 0.01,
        call,
    }
}

pub(crate) fn set(name: &str, images: Vec<ScoredImage>) -> ImageSet {
    ImageSet { name: name.to_owned(), images, faults: Vec::new() }
}

/// Good images of four classes, and three sets of strangers: far, near, and odd images.
pub(crate) fn line() -> (ShelfFacts, ImageSet, Vec<ImageSet>) {
    let shelf = shelf();
    let mut dice = Dice::new(7);
    let classes = ["washer", "nut", "gear", "connector"];
    let good = (0..400).map(|i| {
        let class = classes[i % 4];
        image(&format!("good/{class}/{i:04}.png"), Some(class), 0.9 + 0.03 * dice.normal(), 0.0, &shelf)
    });
    let good = set("good", good.collect());
    let mut strangers = |name: &str, count: usize, centre: f64, spread: f64| {
        let images = (0..count).map(|i| {
            let class = ["scratch", "dent"][i % 2];
            image(&format!("{name}/{class}/{i:04}.png"), Some(class), centre + spread * dice.normal(), -0.2, &shelf)
        });
        set(name, images.collect())
    };
    let mut sets = vec![
        strangers("unknown parts", 200, 0.45, 0.08),
        strangers("unknown defects", 150, 0.68, 0.07),
        strangers("camera faults", 80, 0.6, 0.1),
    ];
    sets[2].faults.push(Fault {
        set: "camera faults".to_owned(),
        path: "camera faults/dent/torn.jpg".to_owned(),
        reason: "JPEG ends in the middle".to_owned(),
    });
    (shelf, good, sets)
}
