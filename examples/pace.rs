//! How long a classifier takes for one image, asked for round by round, and what it makes of given tensors.
//! `benches/peers` runs it against another runtime. Networks with float input only.

use std::hint::black_box;
use std::io::{Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::json;
use shelfwatch::backbone::{Backbone, TapChoice};
use shelfwatch::preprocess::Pixels;

/// `pace M.onnx`: prints what was loaded, then answers each number n on stdin with n run times in nanoseconds
#[derive(Parser)]
struct Arguments {
    /// The classifier.
    onnx: PathBuf,
    /// Instead of run times, print feature and logits of each tensor in this file: 32-bit floats, little-endian.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Threads for one image.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Numbers between -2 and 2, the same for each run; about what normalised pixels are.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let onnx = std::fs::read(&arguments.onnx).with_context(|| arguments.onnx.display().to_string())?;
    let start = Instant::now();
    let mut backbone = Backbone::load(&onnx, &TapChoice::default(), None)?;
    let loading = start.elapsed();
    backbone.set_threads(arguments.threads)?;
    let taps = backbone.taps();
    println!(
        "{}",
        json!({
            "load_ms": loading.as_secs_f64() * 1e3,
            "shape": backbone.input_shape(),
            "input": backbone.input().name,
            "feature": taps.feature,
            "logits": taps.logits,
        })
    );
    let count = backbone.input_shape().iter().product();
    if let Some(file) = arguments.input {
        return show(&mut backbone, &std::fs::read(&file).with_context(|| file.display().to_string())?, count);
    }
    let input = Pixels::F32(noise(count));
    for line in stdin().lines() {
        let runs: usize = line?.trim().parse().context("a line is to be a number of runs")?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = Instant::now();
            black_box(backbone.run_without_map(black_box(&input))?);
            times.push(start.elapsed().as_nanos() as u64);
        }
        println!("{}", json!(times));
        stdout().flush()?;
    }
    Ok(())
}

/// One JSON line for each tensor of `count` values.
fn show(backbone: &mut Backbone, bytes: &[u8], count: usize) -> anyhow::Result<()> {
    ensure!(bytes.len().is_multiple_of(4 * count), "{} bytes are no whole number of tensors", bytes.len());
    for tensor in bytes.chunks_exact(4 * count) {
        let (values, _) = tensor.as_chunks();
        let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let seen = backbone.run_without_map(&Pixels::F32(values))?;
        println!("{}", json!({ "feature": seen.feature, "logits": seen.logits }));
    }
    Ok(())
}
