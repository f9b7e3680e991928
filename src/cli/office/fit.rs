//! `shelfwatch fit`: from a classifier and good images to one shelf file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use shelfwatch::detector::Frontend;
use shelfwatch::fit::{Alpha, FitOptions, Fitted, Material, ScoreChoice, Summary, TOLERANCE, fit, statistics};
use shelfwatch::image_folder::{ImageFolder, Split};
use shelfwatch::method::{Dimension, Options, Statistics};
use shelfwatch::preprocess::Recipe;
use shelfwatch::quantise::{QuantiseOptions, Report, quantise};
use shelfwatch::shelf::{Precision, write_atomically};
use shelfwatch_core::{Guarantee, MAX_TERMS, ScoreKind};

use super::fitting::{Taps, alpha, recipe, share};
use super::quantize::text as report_text;
use crate::cli::inspect::{point_text, points_json};
use crate::cli::progress::Progress;
use crate::cli::{Outcome, inputs};

/// Fit a shelf from a classifier and good images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shelfwatch fit --backbone resnet18.onnx --images good/ --preprocess torchvision -o line.shelf
  shelfwatch fit --backbone m.onnx --images good/ --calibrate good-later/ --score auto -o line.shelf
  shelfwatch fit --backbone m.onnx --images good/ --preprocess recipe.toml --quantize -o line.shelf
  shelfwatch fit --backbone m.onnx --images shard1/ --stats-out 1.stats

Images are JPEG, PNG, BMP, TIFF, PNM or WebP files, in one folder or in a folder a class. Without --calibrate a third
of them, whole sub-folders (lots) where class folders have them, is kept back to take the thresholds from.")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(in crate::cli) struct Fit {
    /// The trained classifier, as ONNX.
    #[arg(long, value_name = "M.onnx")]
    backbone: PathBuf,
    /// Good images to fit on.
    #[arg(long, value_name = "DIR", required_unless_present = "stats", conflicts_with = "stats")]
    images: Option<PathBuf>,
    /// Statistics taken before, instead of images; needs --calibrate.
    #[arg(long, value_name = "FILE", requires = "calibrate")]
    stats: Option<PathBuf>,
    /// Good images to take the thresholds from; none of them may be among --images.
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// How images become tensors: torchvision, timm, imagenet-uint8, none, or a TOML file (docs/preprocess.md).
    #[arg(long, value_name = "FILE|PRESET")]
    preprocess: Option<String>,
    /// Decode large JPEGs at 1/2, 1/4 or 1/8, here and on the device, where the recipe makes them small anyway: faster.
    #[arg(long)]
    draft: bool,
    #[command(flatten)]
    taps: Taps,
    /// One of neco, neco-std, neco-ml, neco-std-ml, residual, vim, mahalanobis, mahalanobis++, knn, nci, fdbd, msp,
    /// maxlogit, energy, gen; a sum of up to three, as neco+knn; or auto.
    #[arg(long, value_name = "NAME", default_value = "neco")]
    score: String,
    /// Standardise the features before NECO's projection, as the method's released code does.
    #[arg(long, value_enum, default_value_t = Scaler::None)]
    scaler: Scaler,
    /// Components of NECO's projection.
    #[arg(long, value_name = "N", conflicts_with = "variance")]
    dim: Option<usize>,
    /// Share of the variance that NECO's projection keeps.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0.9")]
    variance: f64,
    /// False-alarm rate of the reject point, or auto for the least that the images support.
    #[arg(long, value_name = "RATE", value_parser = alpha, default_value = "0.001")]
    alpha_reject: Alpha,
    /// False-alarm rate of the review point, or auto.
    #[arg(long, value_name = "RATE", value_parser = alpha, default_value = "0.01")]
    alpha_review: Alpha,
    /// The promised rates hold with probability 1 − delta.
    #[arg(long, value_parser = share, default_value = "0.05")]
    delta: f64,
    /// Promise the rates on average only; needs fewer images.
    #[arg(long)]
    marginal: bool,
    /// How the projection is stored: auto, f32, f16 or i8.
    #[arg(long, value_name = "KIND", value_parser = precision, default_value = "auto")]
    precision: PrecisionChoice,
    /// Strangers for --score auto to choose by, in one folder or in a folder a kind.
    #[arg(long, value_name = "DIR")]
    ood: Option<PathBuf>,
    /// Quantise the float backbone to int8 first, on the images to fit on, and put that into the shelf; `quantize` does it
    /// with more say.
    #[arg(long, requires = "output", conflicts_with_all = ["stats", "detached"])]
    quantize: bool,
    /// Leave the ONNX file out of the shelf.
    #[arg(long)]
    detached: bool,
    /// What the device's processor must have: an architecture (aarch64), or features as its /proc/cpuinfo names them.
    #[arg(long, value_name = "aarch64,asimddp", value_delimiter = ',')]
    needs: Vec<String>,
    /// Name of the product or line, kept in the shelf.
    #[arg(long, value_name = "NAME", default_value = "")]
    product: String,
    /// Files that may be unusable before the fit stops.
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_bad: u64,
    /// Take a score times the largest logit although logits are not all positive.
    #[arg(long)]
    allow_negative_logits: bool,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Also write the statistics there; without -o take nothing but statistics, of all images.
    #[arg(long, value_name = "FILE")]
    stats_out: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// The shelf file. Its statistics go beside it, ending in .stats, for `eval` and `merge`.
    #[arg(short, long, value_name = "line.shelf", required_unless_present = "stats_out")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scaler {
    /// Centred features as they are.
    None,
    /// Every channel by its standard deviation.
    Standard,
}

#[derive(Clone, Copy, Debug)]
struct PrecisionChoice(Option<Precision>);

fn precision(text: &str) -> Result<PrecisionChoice, String> {
    if text == "auto" { Ok(PrecisionChoice(None)) } else { text.parse().map(|kind| PrecisionChoice(Some(kind))) }
}

impl Fit {
    pub(super) fn run(self) -> Result<Outcome> {
        let mut onnx = inputs::file(&self.backbone)?;
        if self.preprocess.is_none() {
            eprintln!("note: no --preprocess given: images must have the backbone's size, pixels are divided by 255");
        }
        let recipe = recipe(self.preprocess.as_deref().unwrap_or("none"), &onnx)?;
        let recipe = if self.draft { recipe.with_draft().context("--draft")? } else { recipe };
        let options = self.options()?;
        let progress = Progress::new(false);
        let Some(output) = &self.output else {
            let frontend = self.frontend(&onnx, &recipe)?;
            let folder = ImageFolder::list(self.images.as_deref().context("give --images")?)?;
            let taken = statistics(&frontend, &onnx, &folder.images, folder.classes, &options, &progress)?;
            return self.write_statistics(&taken.to_bytes(), taken.images());
        };
        let (material, split) = self.material()?;
        let mut quantised = None;
        if self.quantize {
            let images = ImageFolder { classes: split.classes.clone(), images: split.fit.clone() };
            let how = QuantiseOptions { max_bad: self.max_bad, threads: self.threads, ..QuantiseOptions::default() };
            let made = quantise(&onnx, &self.taps.choice(), &recipe, images, &how, &progress);
            let made = made.with_context(|| format!("backbone {}", self.backbone.display()))?;
            onnx = made.onnx;
            quantised = Some(made.report);
        }
        let frontend = self.frontend(&onnx, &recipe)?;
        let fitted = fit(&frontend, &onnx, material, &split.calibrate, &split.how, &options, &progress)?;
        progress.clear();
        self.write(output, &fitted, quantised.as_ref())?;
        Ok(Outcome::Fine)
    }

    fn frontend(&self, onnx: &[u8], recipe: &Recipe) -> Result<Frontend> {
        Frontend::new(onnx, &self.taps.choice(), recipe)
            .with_context(|| format!("backbone {}", self.backbone.display()))
    }

    fn options(&self) -> Result<FitOptions> {
        let dimension = self.dim.map_or(Dimension::Share(self.variance), Dimension::Count);
        let score = match self.score.as_str() {
            "auto" => ScoreChoice::Auto { strangers: self.ood.clone() },
            names => ScoreChoice::Kinds(self.kinds(names)?),
        };
        if self.ood.is_some() && self.score != "auto" {
            bail!("--ood is for --score auto; to measure against strangers use `shelfwatch eval`");
        }
        Ok(FitOptions {
            product: self.product.clone(),
            method: Options { neco: dimension, neco_std: dimension, ..Options::default() },
            score,
            reject: self.alpha_reject,
            review: self.alpha_review,
            delta: self.delta,
            guarantee: if self.marginal { Guarantee::Marginal } else { Guarantee::Guaranteed },
            precision: self.precision.0,
            detached: self.detached,
            needs: self.needs.clone(),
            max_bad: self.max_bad,
            threads: self.threads,
            allow_negative_logits: self.allow_negative_logits,
        })
    }

    fn kinds(&self, names: &str) -> Result<Vec<ScoreKind>> {
        let all = || ScoreKind::ALL.map(ScoreKind::name).join(", ");
        // `mahalanobis++` holds the sign that parts the names of a sum.
        let names = names.replace("++", "\0");
        let mut kinds = Vec::new();
        for name in names.split('+').map(|name| name.replace('\0', "++")) {
            let kind = ScoreKind::from_name(&name)
                .with_context(|| format!("no score is named `{name}`; there are {}, and auto", all()))?;
            kinds.push(match (kind, self.scaler) {
                (ScoreKind::Neco, Scaler::Standard) => ScoreKind::NecoStd,
                (ScoreKind::NecoMl, Scaler::Standard) => ScoreKind::NecoStdMl,
                _ => kind,
            });
        }
        if kinds.len() > MAX_TERMS || kinds.iter().enumerate().any(|(i, kind)| kinds[..i].contains(kind)) {
            bail!("a sum is of at most {MAX_TERMS} different scores; take some out of --score");
        }
        Ok(kinds)
    }

    fn material(&self) -> Result<(Material, Split)> {
        let calibrate = self.calibrate.as_deref().map(ImageFolder::list).transpose()?;
        let how = |path: &Path| format!("calibration images from {}", path.file_name().unwrap_or_default().display());
        if let Some(path) = &self.stats {
            let read = Statistics::from_bytes(&inputs::file(path)?);
            let taken = read.with_context(|| format!("statistics {}", path.display()))?;
            let calibrate = calibrate.context("give --calibrate")?;
            let how = self.calibrate.as_deref().map(how).unwrap_or_default();
            let split = Split { classes: Vec::new(), fit: Vec::new(), calibrate: calibrate.images, how };
            return Ok((Material::Statistics(Box::new(taken)), split));
        }
        let images = self.images.as_deref().context("give --images")?;
        let folder = ImageFolder::list(images)?;
        let split = match (calibrate, &self.calibrate) {
            (Some(calibrate), Some(path)) => {
                check_apart(&folder, &calibrate)?;
                Split { classes: folder.classes, fit: folder.images, calibrate: calibrate.images, how: how(path) }
            }
            _ => folder.split(),
        };
        let material = Material::Images { images: split.fit.clone(), classes: split.classes.clone() };
        Ok((material, split))
    }

    fn write_statistics(&self, bytes: &[u8], images: u64) -> Result<Outcome> {
        let path = self.stats_out.as_deref().context("give --stats-out")?;
        write_atomically(path, bytes)?;
        if self.json {
            let found = serde_json::json!({ "statistics": path, "images": images });
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            println!("{}: statistics of {images} images, {} bytes", path.display(), bytes.len());
        }
        Ok(Outcome::Fine)
    }

    fn write(&self, output: &Path, fitted: &Fitted, quantised: Option<&Report>) -> Result<()> {
        let beside = output.with_extension("stats");
        write_atomically(&beside, &fitted.statistics)?;
        if let Some(path) = &self.stats_out {
            write_atomically(path, &fitted.statistics)?;
        }
        write_atomically(output, &fitted.shelf)?;
        let summary = &fitted.summary;
        if self.json {
            let shelf = shelfwatch_core::Shelf::parse(&fitted.shelf)?;
            let points = points_json(shelf.header());
            let mut found = serde_json::json!({
                "shelf": output, "bytes": fitted.shelf.len(), "statistics": beside, "points": points, "fit": summary
            });
            if let Some(report) = quantised {
                found["quantisation"] = serde_json::to_value(report)?;
            }
            println!("{}", serde_json::to_string_pretty(&found)?);
            return Ok(());
        }
        print!("{}", text(output, &beside, fitted)?);
        if let Some(report) = quantised {
            print!("  backbone:{}", report_text(report)?);
        }
        Ok(())
    }
}

/// What a person reads after a fit.
fn text(output: &Path, beside: &Path, fitted: &Fitted) -> Result<String> {
    let summary: &Summary = &fitted.summary;
    let shelf = shelfwatch_core::Shelf::parse(&fitted.shelf)?;
    let mut lines = vec![
        format!("{}: {} bytes (statistics beside it: {})", output.display(), fitted.shelf.len(), beside.display()),
        format!(
            "  fitted on {} images, calibrated with {} others ({})",
            summary.fit_images,
            summary.calibration_images,
            shelf.header().evidence.split
        ),
        format!("  score        {} ({})", summary.score, summary.why),
        format!(
            "  projection   {} of {} dimensions, {:.1} % of the variance; compact storage moves scores by {:.1e} at most (limit {TOLERANCE:.0e})",
            summary.dims[1],
            summary.dims[0],
            100.0 * summary.explained_variance,
            summary.movement
        ),
    ];
    for (name, point) in [("reject", shelf.header().reject), ("review", shelf.header().review)] {
        lines.push(format!("  {name:<12} {}", point_text(&point, shelf.header())));
    }
    lines.push(format!("  {}", summary.words));
    lines.extend(summary.warnings.iter().map(|warning| format!("  warning: {warning}")));
    if !summary.bad.is_empty() {
        lines.push(format!("  {} files could not be used; they are named above", summary.bad.len()));
    }
    Ok(lines.join("\n") + "\n")
}

/// Fit and calibration images never mix: a folder given twice is refused.
fn check_apart(fit: &ImageFolder, calibrate: &ImageFolder) -> Result<()> {
    let canonical = |folder: &ImageFolder| -> Vec<PathBuf> {
        let mut paths: Vec<_> = folder.images.iter().filter_map(|image| image.path.canonicalize().ok()).collect();
        paths.sort();
        paths
    };
    let fitted = canonical(fit);
    if let Some(shared) = canonical(calibrate).iter().find(|path| fitted.binary_search(path).is_ok()) {
        bail!(
            "{} is in both --images and --calibrate; the promise needs images that were not fitted on",
            shared.display()
        );
    }
    Ok(())
}
