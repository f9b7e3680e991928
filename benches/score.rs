//! What a score costs on a device: the core alone, on made-up numbers of the sizes that a MobileNetV2 gives.

use std::hint::black_box;

use criterion::Criterion;
use shelfwatch::shelf::{Precision, Sections, calibration_section, matrix_section, vector_section};
use shelfwatch_core::{
    BackboneFacts, Constants, Dims, Evidence, Guarantee, Header, OperatingPoint, ScoreKind, SectionKind, Shelf, Term,
};

/// D, values in a feature.
const DIM: usize = 1280;
/// C, logits.
const CLASSES: usize = 5;
/// Images in the bank of neighbours.
const BANK: usize = 819;

/// Numbers in [−1, 1) of a xorshift generator: what they are does not change the cost.
struct Numbers(u64);

impl Iterator for Numbers {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some((self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    }
}

fn header(components: usize) -> Header<'static> {
    let point = OperatingPoint { threshold: 0.0, alpha: 0.5, delta: 0.5, k: 1, bound: 1.0 };
    let term = Term { kind: ScoreKind::Neco, offset: 0.0, weight: 1.0 };
    Header {
        product: "bench",
        written_by: "bench",
        backbone: BackboneFacts { sha256: [0; 32], length: 0, feature: "feature", logits: Some("logits"), map: None },
        recipe: "",
        dims: Dims { feature: DIM as u32, classes: CLASSES as u32, components: components as u32, map: None },
        terms: [term].into_iter().collect(),
        constants: Constants { gen_gamma: 0.1, gen_top: 5, knn_k: 10, vim_alpha: 1.0, nci_alpha: 0.001 },
        reject: point,
        review: point,
        heat_scale: 1.0,
        evidence: Evidence {
            fit_images: 1,
            calibration_images: 1,
            bad_images: 0,
            explained_variance: 0.9,
            guarantee: Guarantee::Guaranteed,
            split: "",
            choice: "",
            statistics_sha256: [0; 32],
        },
        class_names: "",
    }
}

/// The bytes of a shelf with a projection of that many components, a bank and a whitening map.
fn shelf(components: usize, precision: Precision) -> Vec<u8> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut matrix = |rows: usize| {
        let values: Vec<f64> = numbers.by_ref().take(rows * DIM).map(|x| x / (DIM as f64).sqrt()).collect();
        matrix_section(&values, DIM, precision)
    };
    let mut sections = Sections::default();
    let header = postcard::to_stdvec(&header(components)).expect("a header of plain values is encodable");
    sections.push(SectionKind::Header, header);
    sections.push(SectionKind::Centre, vector_section([0.1; DIM]));
    sections.push(SectionKind::Basis, matrix(components));
    sections.push(SectionKind::Whitening, matrix(DIM));
    sections.push(SectionKind::WhitenedMeans, matrix(CLASSES));
    sections.push(SectionKind::Bank, matrix(BANK));
    sections.push(SectionKind::Calibration, calibration_section(&[0.0]));
    sections.assemble()
}

fn scores(criterion: &mut Criterion) {
    let feature: Vec<f32> = Numbers(7).take(DIM).map(|x| x.abs() as f32).collect();
    let logits: Vec<f32> = Numbers(9).take(CLASSES).map(|x| x as f32).collect();
    for precision in [Precision::F32, Precision::F16, Precision::I8] {
        let mut measure = |name: String, kind: ScoreKind, components: usize| {
            let bytes = shelf(components, precision);
            let shelf = Shelf::parse(&bytes).expect("the sections fit the header");
            let mut scratch = vec![0.0; shelf.scratch_len()];
            criterion.bench_function(&name, |bencher| {
                bencher.iter(|| shelf.single(kind, black_box(&feature), &logits, &mut scratch));
            });
        };
        measure(format!("neco d=27 {precision}"), ScoreKind::Neco, 27);
        measure(format!("neco d=88 {precision}"), ScoreKind::Neco, 88);
        measure(format!("knn n={BANK} {precision}"), ScoreKind::Knn, 1);
        measure(format!("mahalanobis {precision}"), ScoreKind::Mahalanobis, 1);
    }
    criterion.bench_function("energy", |bencher| {
        let bytes = shelf(1, Precision::F32);
        let shelf = Shelf::parse(&bytes).expect("the sections fit the header");
        let mut scratch = vec![0.0; shelf.scratch_len()];
        bencher.iter(|| shelf.single(ScoreKind::Energy, black_box(&feature), &logits, &mut scratch));
    });
}

fn parse(criterion: &mut Criterion) {
    let bytes = shelf(88, Precision::I8);
    criterion.bench_function(&format!("parse {} kB", bytes.len() / 1000), |bencher| {
        bencher.iter(|| Shelf::parse(black_box(&bytes)).is_ok());
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    scores(&mut criterion);
    parse(&mut criterion);
    criterion.final_summary();
}
