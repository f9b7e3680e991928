//! How long a verdict takes from an image file on disk to the reading, asked for round by round.
//! `benches/peers` runs it against a pipeline in another language.

use std::hint::black_box;
use std::io::{Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use shelfwatch::detector::{Detector, Reading};
use shelfwatch::intake;
use shelfwatch_core::Shelf;

/// `frame_pace LINE.shelf IMAGE...`: prints a reading of each image, then answers each number n on stdin with the times
/// of n verdicts in nanoseconds, on one image after the other
#[derive(Parser)]
struct Arguments {
    /// The shelf, with its backbone in it.
    shelf: PathBuf,
    /// Image files.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bytes = std::fs::read(&arguments.shelf).with_context(|| arguments.shelf.display().to_string())?;
    let mut detector = Detector::new(Shelf::parse(&bytes)?, None)?;
    let recipe = detector.frontend().recipe().clone();
    let mut verdict = |image: &PathBuf| -> Result<Reading> { Ok(detector.read(&intake::path(image, &recipe)?)?) };
    let mut readings = Vec::new();
    for image in &arguments.images {
        let reading = verdict(image)?;
        readings.push(json!({
            "score": reading.score,
            "class": reading.class,
            "judgement": format!("{:?}", reading.judgement),
        }));
    }
    println!("{}", json!(readings));
    let mut images = arguments.images.iter().cycle();
    for line in stdin().lines() {
        let runs: usize = line?.trim().parse().context("a line is to be a number of runs")?;
        let mut times = Vec::with_capacity(runs);
        for image in images.by_ref().take(runs) {
            let start = Instant::now();
            black_box(verdict(black_box(image))?);
            times.push(start.elapsed().as_nanos() as u64);
        }
        println!("{}", json!(times));
        stdout().flush()?;
    }
    Ok(())
}
