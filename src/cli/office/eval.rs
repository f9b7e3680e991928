//! `shelfwatch eval`: how well a shelf tells good images from strangers, with bounds, for every score.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use shelfwatch::detector::Detector;
use shelfwatch::evaluate::{Criteria, Fitness, to_text};
use shelfwatch::image_folder::ImageFolder;
use shelfwatch::shelf::write_atomically;
use shelfwatch::workers::threads;
use shelfwatch_core::Shelf;

use super::evaluation::{Run, Study};
use super::fitting::share;
use crate::cli::progress::Progress;
use crate::cli::{Outcome, inputs};

/// Measure how well a shelf tells good images from strangers.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch eval --shelf line.shelf --id good-later/ --ood scratched=scratched/ --ood other=others/ --html report.html

Good images must be others than those that were fitted on or calibrated with. The statistics beside the shelf
(line.stats) let every score be compared; without them only the shelf's own is. The exit status is 0 where the shelf
is fit for use, else 1.")]
pub(in crate::cli) struct Eval {
    /// The shelf.
    #[arg(long, value_name = "line.shelf")]
    shelf: PathBuf,
    /// The ONNX file of a shelf that was made with --detached.
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Good images, in one folder or in a folder a class.
    #[arg(long, value_name = "DIR")]
    id: PathBuf,
    /// A set of strangers and its name; may be given more than once.
    #[arg(long, value_name = "NAME=DIR", value_parser = named)]
    ood: Vec<(String, PathBuf)>,
    /// The statistics of the fit [default: beside the shelf, ending in .stats].
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
    /// The share of strangers that may pass, for the conclusion.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0.1")]
    max_escape: f64,
    /// Write a report with plots, one file that needs no network.
    #[arg(long, value_name = "report.html")]
    html: Option<PathBuf>,
    /// Print as JSON (docs/eval-json.md).
    #[arg(long)]
    json: bool,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), folder.into())),
        _ => Err("give a name and a folder, as scratched=path/to/scratched".to_owned()),
    }
}

impl Eval {
    pub(super) fn run(self) -> Result<Outcome> {
        let bytes = inputs::file(&self.shelf)?;
        let shelf = Shelf::parse(&bytes).with_context(|| self.shelf.display().to_string())?;
        let onnx = self.backbone.as_deref().map(inputs::file).transpose()?;
        let detector = Detector::from_onnx(shelf.clone(), onnx.as_deref())?;
        let names: Vec<&str> = self.ood.iter().map(|(name, _)| name.as_str()).collect();
        if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            bail!("two sets of strangers are named `{name}`; give each a name of its own");
        }
        let good = ImageFolder::list(&self.id)?;
        let folders: Vec<ImageFolder> =
            self.ood.iter().map(|(_, folder)| ImageFolder::list(folder)).collect::<Result<_, _>>()?;
        let strangers: Vec<(&str, &ImageFolder)> = names.into_iter().zip(&folders).collect();
        let study = Study::open(&self.stats_path(), self.stats.is_some(), &detector)?;
        let progress = Progress::new(false);
        let criteria = Criteria { max_escape: self.max_escape, ..Criteria::default() };
        let mut run = Run::new(&detector, study.as_ref(), threads(self.threads), &progress)?;
        let evaluation = run.evaluate(&good, &strangers, criteria)?;
        progress.clear();
        if let Some(path) = &self.html {
            write_atomically(path, run.html(&evaluation, &good, &strangers).as_bytes())?;
            eprintln!("report: {}", path.display());
        }
        let mut out = std::io::stdout();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&evaluation)?)?;
        } else {
            write!(out, "{}", to_text(&evaluation, 110))?;
        }
        Ok(if evaluation.conclusion.fitness == Fitness::Fit { Outcome::Fine } else { Outcome::Anomaly })
    }

    fn stats_path(&self) -> PathBuf {
        self.stats.clone().unwrap_or_else(|| self.shelf.with_extension("stats"))
    }
}
