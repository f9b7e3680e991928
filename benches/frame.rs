//! What everything of a frame but the network costs: JPEG or camera bytes to the tensor of 224×224, whole and by stages.

use std::hint::black_box;
use std::mem;

use criterion::Criterion;
use libjpeg_turbo_rs::{PixelFormat as Rgb, Subsampling, compress};
use shelfwatch::camera;
use shelfwatch::capture::{Capture, PixelFormat};
use shelfwatch::frame::Frame;
use shelfwatch::image_file;
use shelfwatch::intake;
use shelfwatch::preprocess::{Preprocess, Recipe};

const SIZES: [[u32; 2]; 2] = [[640, 480], [1920, 1080]];
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// A scene: soft shapes, a fine pattern, some sensor noise.
fn scene(width: u32, height: u32) -> Vec<u8> {
    let wave = |at: f32, period: f32| (at * std::f32::consts::TAU / period).sin();
    let level = |x: u32, y: u32, channel: u32| {
        let (u, v) = (x as f32, y as f32);
        let soft = 45.0 * wave(u + 90.0 * channel as f32, 700.0) + 40.0 * wave(v - u / 3.0, 310.0);
        let fine = 12.0 * wave(u + v, 9.0) * wave(v, 230.0);
        let seed = (y * width + x) * 3 + channel;
        let noise = ((seed.wrapping_mul(2_654_435_761) ^ (seed >> 5).wrapping_mul(40_503)) >> 24) as f32 / 255.0 - 0.5;
        (128.0 + soft + fine + 8.0 * noise) as u8
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|channel| level(x, y, channel)))).collect()
}

fn raw(format: PixelFormat, width: u32, height: u32) -> Capture {
    let (stride, bytes) = match format {
        PixelFormat::Yuyv => (width * 2, width * height * 2),
        _ => (width, width * height * 3 / 2),
    };
    let level = |i: u32| 40 + ((i >> 3).wrapping_mul(2_654_435_761) >> 25) as u8;
    Capture { format, width, height, stride, bytes: (0..bytes).map(level).collect(), ..Capture::empty() }
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    compress(&scene(width, height), width as usize, height as usize, Rgb::Rgb, 90, Subsampling::S420)
        .expect("a picture of that size can be compressed")
}

fn stages(criterion: &mut Criterion, recipe: &Recipe) {
    for [width, height] in SIZES {
        let bytes = jpeg(width, height);
        eprintln!("JPEG {width}x{height}: {} bytes", bytes.len());
        criterion.bench_function(&format!("JPEG {width}x{height} to RGB"), |bencher| {
            bencher.iter(|| image_file::decode(black_box(&bytes)).is_ok());
        });
        for format in [PixelFormat::Yuyv, PixelFormat::Nv12] {
            let capture = raw(format, width, height);
            let mut rgb = Vec::new();
            criterion.bench_function(&format!("{} {width}x{height} to RGB", format.name()), |bencher| {
                bencher.iter(|| {
                    let frame = camera::decode(black_box(&capture), None, mem::take(&mut rgb));
                    rgb = frame.expect("the image has its size").into_rgb();
                });
            });
        }
        let frame = Frame::new(width, height, scene(width, height)).expect("three bytes a pixel");
        let mut preprocess = Preprocess::new(recipe);
        criterion.bench_function(&format!("RGB {width}x{height} to the tensor"), |bencher| {
            bencher.iter(|| preprocess.run(black_box(&frame)).is_ok());
        });
    }
    let frame = Frame::new(224, 224, scene(224, 224)).expect("three bytes a pixel");
    let mut preprocess = Preprocess::new(recipe);
    criterion.bench_function("RGB 224x224 to the tensor, nothing to resize", |bencher| {
        bencher.iter(|| preprocess.run(black_box(&frame)).is_ok());
    });
}

fn whole(criterion: &mut Criterion, recipe: &Recipe) {
    let draft = recipe.with_draft().expect("the recipe resizes");
    for [width, height] in SIZES {
        let file = Capture { bytes: jpeg(width, height), ..Capture::empty() };
        for (name, capture, recipe) in [
            ("JPEG", &file, recipe),
            ("JPEG as draft", &file, &draft),
            ("yuyv", &raw(PixelFormat::Yuyv, width, height), recipe),
            ("nv12", &raw(PixelFormat::Nv12, width, height), recipe),
        ] {
            let (mut preprocess, mut rgb) = (Preprocess::new(recipe), Vec::new());
            criterion.bench_function(&format!("{name} {width}x{height} to the tensor"), |bencher| {
                bencher.iter(|| {
                    let frame = intake::capture(black_box(capture), None, recipe, mem::take(&mut rgb));
                    let frame = frame.expect("the image has its size");
                    assert!(preprocess.run(&frame).is_ok());
                    rgb = frame.into_rgb();
                });
            });
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (mean, std) = IMAGENET;
    let recipe = Recipe::stretch(224, 224, mean, std).expect("a plain recipe is valid");
    stages(&mut criterion, &recipe);
    whole(&mut criterion, &recipe);
    criterion.final_summary();
}
