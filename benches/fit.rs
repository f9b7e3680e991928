//! What an image costs beside the backbone: preprocessing, on the device too, and adding to a fit's statistics.

use std::hint::black_box;

use criterion::Criterion;
use shelfwatch::frame::Frame;
use shelfwatch::method::Statistics;
use shelfwatch::preprocess::{Preprocess, Recipe};

/// Values in a feature.
const DIM: usize = 1280;

fn preprocess(criterion: &mut Criterion) {
    let (width, height) = (640_u32, 480_u32);
    let rgb = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let frame = Frame::new(width, height, rgb).expect("three bytes a pixel");
    let stretch = Recipe::stretch(128, 128, [0.5; 3], [0.5; 3]).expect("a plain recipe is valid");
    let torchvision = Recipe::preset("torchvision").expect("torchvision is a preset");
    for (name, recipe) in [("stretch to 128×128", stretch), ("torchvision, 224×224", torchvision)] {
        let mut preprocess = Preprocess::new(&recipe);
        criterion.bench_function(&format!("preprocess {width}×{height}, {name}"), |bencher| {
            bencher.iter(|| preprocess.run(black_box(&frame)).is_ok());
        });
    }
}

/// Products are added for a block of images at once, so a single addition is dear or cheap; the mean over many counts.
fn statistics(criterion: &mut Criterion) {
    let features: Vec<Vec<f32>> =
        (0..64_u32).map(|i| (0..DIM as u32).map(|j| (i * 31 + j * 17) as f32 % 23.0 / 23.0).collect()).collect();
    let mut statistics = Statistics::new(DIM, 0, Vec::new()).expect("1280 channels are enough");
    let mut key = 0_u64;
    criterion.bench_function(&format!("statistics of one image, D={DIM}"), |bencher| {
        bencher.iter(|| {
            key += 1;
            statistics.add(key, black_box(&features[key as usize % features.len()]), &[], None)
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    preprocess(&mut criterion);
    statistics(&mut criterion);
    criterion.final_summary();
}
