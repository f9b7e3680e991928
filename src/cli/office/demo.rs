//! `shelfwatch demo`: draws parts, fits a shelf with the bundled backbone, evaluates it and runs a virtual line.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use shelfwatch::backbone::TapChoice;
use shelfwatch::detector::{Detector, Frontend};
use shelfwatch::evaluate::{Criteria, to_text};
use shelfwatch::fit::{Alpha, FitOptions, Material, ScoreChoice, fit};
use shelfwatch::image_file;
use shelfwatch::image_folder::ImageFolder;
use shelfwatch::parts::{self, Product, SIDE, Stranger, Subject};
use shelfwatch::preprocess::Recipe;
use shelfwatch::shelf::write_atomically;
use shelfwatch::watch::Watch;
use shelfwatch::workers::{in_order, threads};
use shelfwatch_core::{ScoreKind, Shelf};

use super::evaluation::{Run, Study};
use super::line::Line;
use crate::cli::progress::Progress;
use crate::cli::{Outcome, inputs};

/// The bundled backbone and its recipe; `models/README.md` says how they were made.
const BACKBONE: &[u8] = include_bytes!("../../../models/parts_int8.onnx");
const RECIPE: &str = include_str!("../../../models/parts.toml");

/// Good pictures of each product: to fit on, to calibrate with, to evaluate with.
const FIT: u64 = 200;
const CALIBRATE: u64 = 200;
const EVALUATE: u64 = 50;
/// Pictures of each kind of stranger to evaluate with.
const STRANGE: u64 = 8;

/// Draw parts, fit a shelf with the bundled backbone, evaluate it and run a virtual line.
///
/// Everything is drawn by the program and written into a folder, to look at and to try the other verbs on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch demo --out /tmp/demo --parts 500 --seed 7")]
pub(in crate::cli) struct Demo {
    /// Folder for what the demo writes.
    #[arg(long, value_name = "DIR", default_value = "shelfwatch-demo")]
    out: PathBuf,
    /// Parts on the virtual line.
    #[arg(long, value_name = "N", default_value_t = 480)]
    parts: u64,
    /// Number of the draw; another one gives other pictures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the closing figures as JSON.
    #[arg(long)]
    json: bool,
}

/// Which pictures a seed is for, so that no picture is drawn twice.
#[derive(Clone, Copy)]
enum Share {
    Fit = 1,
    Calibrate = 2,
    Evaluate = 3,
    Line = 4,
}

impl Demo {
    pub(super) fn run(self) -> Result<Outcome> {
        let progress = Progress::new(false);
        self.draw(&progress)?;
        let shelf_path = self.fit(&progress)?;
        let bytes = inputs::file(&shelf_path)?;
        let shelf = Shelf::parse(&bytes)?;
        let detector = Detector::new(shelf, None)?;
        let report = self.evaluate(&detector, &shelf_path, &progress)?;
        let mut line = Line::new(detector.forks(threads(None))?);
        let subjects = self.subjects();
        let seen = line.run(&subjects, !self.json, &progress)?;
        progress.clear();
        let sheet = self.out.join("flagged.png");
        write_atomically(&sheet, &image_file::encode_png(&seen.sheet()?)?)?;
        let written = [("shelf", shelf_path), ("report", report), ("flagged parts", sheet)];
        let mut out = std::io::stdout();
        if self.json {
            let paths: serde_json::Map<_, _> =
                written.iter().map(|(name, path)| ((*name).to_owned(), path.display().to_string().into())).collect();
            let found = serde_json::json!({ "line": seen.json(), "written": paths });
            writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
        } else {
            write!(out, "{}", seen.text(detector.shelf().header()))?;
            writeln!(out, "\nwritten:")?;
            for (name, path) in &written {
                writeln!(out, "  {name:<14} {}", path.display())?;
            }
            writeln!(
                out,
                "\nnext: shelfwatch inspect {0}\n      shelfwatch score --shelf {0} {1}",
                written[0].1.display(),
                self.folder("strangers/defect").display()
            )?;
        }
        Ok(Outcome::Fine)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    fn picture_seed(&self, share: Share, number: u64) -> u64 {
        (self.seed << 40) ^ ((share as u64) << 32) ^ number
    }

    /// Draws all pictures that lie in folders.
    fn draw(&self, progress: &Progress) -> Result<()> {
        let mut wanted: Vec<(PathBuf, Subject, u64)> = Vec::new();
        for (folder, share, count) in
            [("fit", Share::Fit, FIT), ("calibrate", Share::Calibrate, CALIBRATE), ("good", Share::Evaluate, EVALUATE)]
        {
            for product in Product::ALL {
                let folder = self.folder(folder).join(product.name());
                let subject = Subject::Product(product);
                wanted.extend(
                    (0..count).map(|i| (folder.join(format!("{i:04}.png")), subject, self.picture_seed(share, i))),
                );
            }
        }
        for stranger in Stranger::all() {
            let folder = self.folder("strangers").join(stranger.group()).join(stranger.name());
            let subject = Subject::Stranger(stranger);
            wanted.extend(
                (0..STRANGE)
                    .map(|i| (folder.join(format!("{i:04}.png")), subject, self.picture_seed(Share::Evaluate, i))),
            );
        }
        for folder in wanted.iter().filter_map(|(path, ..)| path.parent()) {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make folder {}; choose another --out", folder.display()))?;
        }
        let total = wanted.len() as u64;
        let paint = |(): &mut (), (path, subject, seed): &(PathBuf, Subject, u64)| -> Result<()> {
            let png = image_file::encode_png(&parts::draw(*subject, *seed, SIDE).frame)?;
            std::fs::write(path, png).with_context(|| format!("cannot write {}", path.display()))
        };
        let mut painters = vec![(); threads(None)];
        in_order(&mut painters, &wanted, paint, |i, painted| {
            painted?;
            progress.progress("draw", i as u64 + 1, total);
            Ok(())
        })
    }

    fn fit(&self, progress: &Progress) -> Result<PathBuf> {
        let recipe = Recipe::from_toml(RECIPE)?;
        let frontend = Frontend::new(BACKBONE, &TapChoice::default(), &recipe)?;
        let images = ImageFolder::list(&self.folder("fit"))?;
        let calibrate = ImageFolder::list(&self.folder("calibrate"))?;
        let options = FitOptions {
            product: "drawn parts".to_owned(),
            score: ScoreChoice::Kinds(vec![ScoreKind::Neco, ScoreKind::Knn, ScoreKind::MahalanobisPp]),
            reject: Alpha::Rate(0.01),
            review: Alpha::Rate(0.03),
            ..FitOptions::default()
        };
        let material = Material::Images { images: images.images, classes: images.classes };
        let how = "calibration pictures drawn apart";
        let fitted = fit(&frontend, BACKBONE, material, &calibrate.images, how, &options, progress)?;
        let path = self.folder("line.shelf");
        write_atomically(&path.with_extension("stats"), &fitted.statistics)?;
        write_atomically(&path, &fitted.shelf)?;
        Ok(path)
    }

    fn evaluate(&self, detector: &Detector<'_>, shelf: &Path, progress: &Progress) -> Result<PathBuf> {
        let good = ImageFolder::list(&self.folder("good"))?;
        let folders: Vec<ImageFolder> = Stranger::GROUPS
            .iter()
            .map(|group| ImageFolder::list(&self.folder("strangers").join(group)))
            .collect::<Result<_, _>>()?;
        let strangers: Vec<(&str, &ImageFolder)> = Stranger::GROUPS.into_iter().zip(&folders).collect();
        let study = Study::open(&shelf.with_extension("stats"), true, detector)?;
        let mut run = Run::new(detector, study.as_ref(), threads(None), progress)?;
        let evaluation = run.evaluate(&good, &strangers, Criteria::default())?;
        progress.clear();
        if !self.json {
            writeln!(std::io::stdout(), "{}", to_text(&evaluation, 110))?;
        }
        let report = self.folder("report.html");
        write_atomically(&report, run.html(&evaluation, &good, &strangers).as_bytes())?;
        Ok(report)
    }

    /// What comes along the line: one part in eight is strange, kind after kind.
    fn subjects(&self) -> Vec<(Subject, u64)> {
        let strangers: Vec<Stranger> = Stranger::all().collect();
        (0..self.parts)
            .map(|i| {
                let seed = self.picture_seed(Share::Line, i);
                // The position within a group of eight follows from the group, so that it looks like chance.
                let group = i / 8;
                let place =
                    (group.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)) >> 61;
                let subject = if i % 8 == place {
                    Subject::Stranger(strangers[((group * 7 + self.seed) % strangers.len() as u64) as usize])
                } else {
                    Subject::Product(Product::ALL[((i * 5 + group) % Product::ALL.len() as u64) as usize])
                };
                (subject, seed)
            })
            .collect()
    }
}
