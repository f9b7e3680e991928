//! `shelfwatch score`: judges image files, folders of them, or one image from stdin.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use shelfwatch::detector::Detector;
use shelfwatch::frame::Frame;
use shelfwatch::image_file::{self, MAX_FILE};
use shelfwatch::image_folder::ImageFolder;
use shelfwatch::intake;
use shelfwatch::preprocess::Recipe;
use shelfwatch::shelf::write_atomically;
use shelfwatch::workers::threads;
use shelfwatch_core::{Judgement, Shelf};

use super::judged::{Judged, judge, look};
use super::progress::Progress;
use super::{Outcome, inputs};

/// Judge images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shelfwatch score --shelf line.shelf part.jpg other.png
  shelfwatch score --shelf line.shelf --heatmap seen/ --csv today/ > today.csv
  rpicam-still -o - | shelfwatch score --shelf line.shelf -

The exit status is 1 where an image is flagged, 2 where one could not be judged.")]
pub(super) struct Score {
    /// The shelf.
    #[arg(long, value_name = "line.shelf")]
    shelf: PathBuf,
    /// The ONNX file of a shelf that was made with --detached.
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    /// Images, folders, or - for one image on stdin.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write each image with its heat map over it into this folder, as PNG, on the shelf's fixed scale.
    #[arg(long, value_name = "DIR")]
    heatmap: Option<PathBuf>,
    /// Print one JSON object an image, a line each.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print as CSV with a head line.
    #[arg(long)]
    csv: bool,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Where an image comes from.
enum Source {
    File(PathBuf),
    Stdin,
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
        }
    }
}

impl Score {
    pub(super) fn run(self) -> Result<Outcome> {
        let bytes = inputs::file(&self.shelf)?;
        let shelf = Shelf::parse(&bytes).with_context(|| self.shelf.display().to_string())?;
        let onnx = self.backbone.as_deref().map(inputs::file).transpose()?;
        let detector = Detector::new(shelf.clone(), onnx.as_deref())?;
        let sources = self.sources()?;
        let mut detectors = detector.forks(threads(self.threads).min(sources.len()))?;
        if let Some(folder) = &self.heatmap {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
            if shelf.header().dims.map.is_none() {
                bail!(
                    "this backbone's feature is not the mean of a feature map, so there are no heat maps; leave --heatmap out"
                );
            }
        }
        let classes: Vec<&str> = shelf.header().classes().collect();
        let mut output = Output::new(&self, &classes);
        let look = |detector: &mut Detector<'_>, frame: &Frame| look(detector, frame, self.heatmap.is_some());
        let progress = Progress::new(sources.len() < 20);
        let load = |source: &Source, recipe: &Recipe| match source {
            Source::File(path) => intake::path(path, recipe).map_err(|error| error.to_string()),
            Source::Stdin => stdin(recipe),
        };
        let mut outcome = Outcome::Fine;
        let mut used = HashSet::new();
        output.head()?;
        judge(&mut detectors, &sources, load, look, "score", &progress, |i, judged| {
            let name = sources[i].name();
            match judged {
                Ok(judged) => {
                    if judged.reading.judgement != Judgement::Pass && outcome == Outcome::Fine {
                        outcome = Outcome::Anomaly;
                    }
                    let overlay = self.write_heat(&judged, &sources[i], &mut used)?;
                    output.judged(&name, &judged, overlay.as_deref())
                }
                Err(reason) => {
                    outcome = Outcome::Failed;
                    output.fault(&name, &reason)
                }
            }
        })?;
        progress.clear();
        Ok(outcome)
    }

    fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for path in &self.paths {
            if path.as_os_str() == "-" {
                if sources.iter().any(|source| matches!(source, Source::Stdin)) {
                    bail!("- stands there twice; stdin can be read only once");
                }
                sources.push(Source::Stdin);
            } else if path.is_dir() {
                let folder = ImageFolder::list(path)?;
                sources.extend(folder.images.into_iter().map(|image| Source::File(image.path)));
            } else {
                sources.push(Source::File(path.clone()));
            }
        }
        Ok(sources)
    }

    fn write_heat(&self, judged: &Judged, source: &Source, used: &mut HashSet<String>) -> Result<Option<PathBuf>> {
        let (Some(folder), Some(overlay)) = (&self.heatmap, &judged.overlay) else { return Ok(None) };
        let stem = match source {
            Source::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Source::Stdin => "stdin".to_owned(),
        };
        // Files of one name from different folders must not overwrite each other.
        let mut name = stem.clone();
        let mut count = 1;
        while !used.insert(name.clone()) {
            count += 1;
            name = format!("{stem}-{count}");
        }
        let path = folder.join(name + ".png");
        write_atomically(&path, &image_file::encode_png(&overlay.frame)?)?;
        Ok(Some(path))
    }
}

fn stdin(recipe: &Recipe) -> Result<Frame, String> {
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    intake::file(&bytes, recipe).map_err(|error| error.to_string())
}

/// Prints what was found in the form asked for.
struct Output<'a> {
    json: bool,
    csv: Option<csv::Writer<std::io::Stdout>>,
    classes: &'a [&'a str],
}

impl<'a> Output<'a> {
    fn new(arguments: &Score, classes: &'a [&'a str]) -> Self {
        let csv = arguments.csv.then(|| csv::Writer::from_writer(std::io::stdout()));
        Self { json: arguments.json, csv, classes }
    }

    fn head(&mut self) -> Result<()> {
        if let Some(csv) = &mut self.csv {
            csv.write_record(["path", "verdict", "score", "p_value", "class", "fault"])?;
        } else if !self.json {
            writeln!(std::io::stdout(), "verdict      score  p-value  class         path")?;
        }
        Ok(())
    }

    fn class(&self, judged: &Judged) -> Option<String> {
        let index = judged.reading.class?;
        // A logit that no folder stands for has no name.
        let name = self.classes.get(index).filter(|name| **name != "?");
        Some(name.map_or_else(|| index.to_string(), ToString::to_string))
    }

    fn judged(&mut self, name: &str, judged: &Judged, overlay: Option<&Path>) -> Result<()> {
        let reading = judged.reading;
        let class = self.class(judged);
        let verdict = reading.judgement.name();
        if let Some(csv) = &mut self.csv {
            let numbers = [reading.score.to_string(), reading.p_value.to_string()];
            let class = class.unwrap_or_default();
            csv.write_record([name, verdict, &numbers[0], &numbers[1], &class, ""])?;
            csv.flush()?;
        } else if self.json {
            let object = json!({
                "path": name, "verdict": verdict, "score": reading.score, "p_value": reading.p_value,
                "class": class, "class_index": reading.class, "heatmap": overlay
            });
            line(&object)?;
        } else {
            let class = class.unwrap_or_else(|| "-".to_owned());
            let mut out = std::io::stdout();
            writeln!(out, "{verdict:<7} {:>10.5} {:>8.5}  {class:<12}  {name}", reading.score, reading.p_value)?;
        }
        Ok(())
    }

    fn fault(&mut self, name: &str, reason: &str) -> Result<()> {
        if let Some(csv) = &mut self.csv {
            csv.write_record([name, "fault", "", "", "", reason])?;
            csv.flush()?;
        } else if self.json {
            line(&json!({ "path": name, "verdict": "fault", "fault": reason }))?;
        } else {
            writeln!(std::io::stdout(), "fault            -        -  -             {name}")?;
        }
        eprintln!("fault: {name}: {reason}");
        Ok(())
    }
}

fn line(object: &Value) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{object}")?)
}
