//! `shelfwatch quantize`: from a float classifier to an int8 one, with what that costs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use shelfwatch::image_folder::ImageFolder;
use shelfwatch::quantise::{Apply, Calibration, QuantiseOptions, Report, quantise};
use shelfwatch::shelf::write_atomically;

use super::fitting::{Taps, recipe};
use crate::cli::progress::Progress;
use crate::cli::{Outcome, inputs};

/// Quantise a float classifier to int8, on good images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shelfwatch quantize resnet18.onnx --images good/ --preprocess torchvision -o resnet18.int8.onnx
  shelfwatch quantize m.onnx --images good/ --preprocess recipe.toml --calibration mse -o m.int8.onnx --json

Writes a standard ONNX file with QuantizeLinear and DequantizeLinear pairs, for `fit --backbone` as for other runtimes. The
feature and the classifier's last layer stay in float. A third of the images, whole sub-folders (lots) where class folders
have them, is held back: what is said about accuracy is measured on these.")]
pub(in crate::cli) struct Quantize {
    /// The trained classifier, as float ONNX.
    #[arg(value_name = "M.onnx")]
    backbone: PathBuf,
    /// Good images, as for `fit`; a few hundred are enough.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// How images become tensors: torchvision, timm, imagenet-uint8, none, or a TOML file (docs/preprocess.md).
    #[arg(long, value_name = "FILE|PRESET")]
    preprocess: Option<String>,
    #[command(flatten)]
    taps: Taps,
    /// How the range of an activation is taken from its values.
    #[arg(long, value_enum, default_value_t = Ranges::Minmax)]
    calibration: Ranges,
    /// Scale the channels between consecutive convolutions to like ranges.
    #[arg(long, value_enum, default_value_t = Treatment::Auto)]
    equalise: Treatment,
    /// Take the shift that rounded weights cause back in the biases.
    #[arg(long, value_enum, default_value_t = Treatment::Auto)]
    correct: Treatment,
    /// Most images to take ranges from, and most to measure on; evenly over the folder.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    most: u32,
    /// Files that may be unusable before it stops.
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_bad: u64,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// The quantised network.
    #[arg(short, long, value_name = "M.int8.onnx")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ranges {
    /// From the least to the greatest value.
    Minmax,
    /// Without the most extreme 0.01 % of the values.
    Percentile,
    /// With the least mean squared error.
    Mse,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Treatment {
    /// Where it brings the feature closer to that of the float network.
    Auto,
    /// In any case.
    On,
    /// Not at all.
    Off,
}

impl From<Treatment> for Apply {
    fn from(treatment: Treatment) -> Self {
        match treatment {
            Treatment::Auto => Self::Auto,
            Treatment::On => Self::On,
            Treatment::Off => Self::Off,
        }
    }
}

impl Quantize {
    pub(super) fn run(self) -> Result<Outcome> {
        let onnx = inputs::file(&self.backbone)?;
        let same = |a: &Path, b: &Path| a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a));
        if same(&self.backbone, &self.output) {
            bail!("{} is the network itself; give another name with -o", self.output.display());
        }
        if self.preprocess.is_none() {
            eprintln!("note: no --preprocess given: images must have the backbone's size, pixels are divided by 255");
        }
        let name = || format!("backbone {}", self.backbone.display());
        let recipe = recipe(self.preprocess.as_deref().unwrap_or("none"), &onnx).with_context(name)?;
        let images = ImageFolder::list(&self.images)?;
        let options = QuantiseOptions {
            calibration: match self.calibration {
                Ranges::Minmax => Calibration::Minmax,
                Ranges::Percentile => Calibration::Percentile,
                Ranges::Mse => Calibration::Mse,
            },
            equalise: self.equalise.into(),
            correct: self.correct.into(),
            most: self.most as usize,
            max_bad: self.max_bad,
            threads: self.threads,
        };
        let progress = Progress::new(false);
        let made = quantise(&onnx, &self.taps.choice(), &recipe, images, &options, &progress).with_context(name)?;
        progress.clear();
        write_atomically(&self.output, &made.onnx)?;
        if self.json {
            let found = serde_json::json!({ "network": self.output, "quantisation": made.report });
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            print!("{}:{}", self.output.display(), text(&made.report)?);
        }
        Ok(Outcome::Fine)
    }
}

/// What a person reads after quantising; begins in the line of what was made.
pub(super) fn text(report: &Report) -> Result<String> {
    let mut text = String::new();
    let [float, int8] = report.bytes;
    writeln!(text, " int8, {int8} bytes from {float} in float")?;
    let left = || report.left.iter().map(|(op, count)| format!("{count} {op}")).collect::<Vec<_>>().join(", ");
    let float_nodes: usize = report.left.iter().map(|(_, count)| count).sum();
    writeln!(text, "  nodes        {} in int8, {float_nodes} in float ({})", report.quantised, left())?;
    let method = match report.calibration {
        Calibration::Minmax => "minmax",
        Calibration::Percentile => "percentile",
        Calibration::Mse => "least squared error",
    };
    writeln!(text, "  ranges       {method}, from {} images", report.images)?;
    let done = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let treated = [
        done(report.folded, "batch normalisations folded"),
        done(report.equalised, "places equalised"),
        done(report.corrected, "biases corrected"),
    ];
    let treated: Vec<String> = treated.into_iter().flatten().collect();
    if !treated.is_empty() {
        writeln!(text, "  treatment    {}", treated.join(", "))?;
    }
    let held = &report.held;
    if let Some(agreeing) = held.agreeing {
        let share = 100.0 * agreeing as f64 / held.images as f64;
        writeln!(text, "  same class   {agreeing} of {} held images ({share:.1} %)", held.images)?;
    }
    writeln!(
        text,
        "  feature      moves by {:.2} % of its length and {:.1} % of its spread; cosine {:.5}, least {:.5}",
        100.0 * held.relative,
        100.0 * held.scatter,
        held.cosine,
        held.least_cosine
    )?;
    if !report.bad.is_empty() {
        writeln!(text, "  {} files could not be used; they are named above", report.bad.len())?;
    }
    Ok(text)
}
