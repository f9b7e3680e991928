//! What one image costs in the network: the bundled models, and every ONNX file in the folder that `SHELFWATCH_MODELS`
//! names: `SHELFWATCH_MODELS=models cargo bench --bench backbone`.
#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::path::PathBuf;
use std::{env, fs};

use criterion::{Criterion, criterion_group, criterion_main};
use shelfwatch::backbone::{self, Backbone, PixelType, TapChoice};
use shelfwatch::preprocess::Pixels;

fn files() -> Vec<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    let folders = [Some(own), env::var_os("SHELFWATCH_MODELS").map(PathBuf::from)];
    let mut files: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    files.dedup();
    files
}

fn networks(criterion: &mut Criterion) {
    for file in files() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let onnx = fs::read(&file).unwrap();
        let mut network = Backbone::load(&onnx, &TapChoice::default(), None).unwrap();
        let count = network.input_shape().iter().product();
        let grey = match network.input().dtype {
            PixelType::F32 => Pixels::F32(vec![0.5; count]),
            PixelType::U8 => Pixels::U8(vec![128; count]),
        };
        let mut group = criterion.benchmark_group(name);
        group.bench_function("image", |b| b.iter(|| network.run_without_map(&grey).unwrap().feature[0]));
        group.sample_size(10);
        group.bench_function("from ONNX", |b| {
            b.iter(|| Backbone::load(&onnx, &TapChoice::default(), None).unwrap());
        });
        if let Some(program) = backbone::program(&onnx, &TapChoice::default(), None).unwrap() {
            group.bench_function("from a program", |b| b.iter(|| Backbone::from_program(&program).unwrap()));
        }
    }
}

criterion_group!(benches, networks);
criterion_main!(benches);
