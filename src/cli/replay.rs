//! `shelfwatch replay`: judges a station's kept images again, or its stored scores by another threshold.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use shelfwatch::detector::Detector;
use shelfwatch::digest::{hexadecimal, sha256};
use shelfwatch::event::EventKind;
use shelfwatch::frame::Frame;
use shelfwatch::intake;
use shelfwatch::journal::{Agreement, Filter, ImageRow, Reader, Retold};
use shelfwatch::preprocess::Recipe;
use shelfwatch::workers::threads;
use shelfwatch_core::Shelf;

use super::judged::{Judged, judge, look};
use super::progress::Progress;
use super::{Outcome, inputs};

/// Judge a station's kept images again, or its stored scores by another threshold.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shelfwatch replay --state /var/lib/shelfwatch --shelf line.shelf
  shelfwatch replay --state /var/lib/shelfwatch --station caps --since 2026-03-01T00:00:00Z --threshold -12.5

With --shelf: whether each image that this very shelf judged gives its score again. The exit status is 1 where one does
not, 2 where one could not be judged. With --threshold: which parts it would have rejected; this needs no images.")]
pub(super) struct Replay {
    /// The daemon's state folder; it may be running.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/shelfwatch")]
    state: PathBuf,
    /// The shelf to judge with.
    #[arg(long, value_name = "line.shelf", required_unless_present = "threshold")]
    shelf: Option<PathBuf>,
    /// The ONNX file of a shelf that was made with --detached.
    #[arg(long, value_name = "M.onnx", requires = "shelf")]
    backbone: Option<PathBuf>,
    /// Of this station only.
    #[arg(long, value_name = "S")]
    station: Option<String>,
    /// Not before this time, such as 2026-03-01T06:00:00Z.
    #[arg(long, value_name = "T")]
    since: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "T")]
    until: Option<Timestamp>,
    /// Show which parts this reject threshold would have rejected, from their stored scores.
    #[arg(long, value_name = "X", allow_negative_numbers = true, conflicts_with = "shelf")]
    threshold: Option<f32>,
    /// Print one JSON object a part, a line each.
    #[arg(long)]
    json: bool,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl Replay {
    pub(super) fn run(self) -> Result<Outcome> {
        let reader = Reader::open(&self.state)?;
        let filter =
            Filter { station: self.station.clone(), since: self.since, until: self.until, ..Filter::default() };
        match (self.threshold, &self.shelf) {
            (Some(threshold), _) if !threshold.is_finite() => bail!("--threshold is no number; give one such as -12.5"),
            (Some(threshold), _) => self.retell(&reader, &filter, threshold),
            (None, Some(shelf)) => self.judge_again(&reader, &filter, &inputs::file(shelf)?),
            (None, None) => bail!("nothing to replay with; give --shelf or --threshold"),
        }
    }

    fn judge_again(&self, reader: &Reader, filter: &Filter, bytes: &[u8]) -> Result<Outcome> {
        let own = hexadecimal(&sha256(bytes));
        let onnx = self.backbone.as_deref().map(inputs::file).transpose()?;
        let detector = Detector::new(Shelf::parse(bytes).context("shelf")?, onnx.as_deref())?;
        let rows = reader.images(filter).collect::<Result<Vec<ImageRow>, _>>()?;
        let mut detectors = detector.forks(threads(self.threads).min(rows.len()))?;
        let progress = Progress::new(rows.len() < 20);
        let load = |row: &ImageRow, recipe: &Recipe| self.load(row, recipe);
        let look = |detector: &mut Detector<'_>, frame: &Frame| look(detector, frame, false);
        let (mut outcome, mut tally) = (Outcome::Fine, BTreeMap::<&str, u64>::new());
        if !self.json {
            writeln!(std::io::stdout(), "result            stored          now  kind     image")?;
        }
        judge(&mut detectors, &rows, load, look, "replay", &progress, |i, judged| {
            let row = &rows[i];
            let result = word(row, &own, &judged);
            match result {
                "differs" if outcome == Outcome::Fine => outcome = Outcome::Anomaly,
                "fault" => outcome = Outcome::Failed,
                _ => {}
            }
            *tally.entry(result).or_default() += 1;
            self.show(row, result, judged)
        })?;
        progress.clear();
        let total: Vec<String> = tally.iter().map(|(result, count)| format!("{count} {result}")).collect();
        let total = if total.is_empty() { "none kept".to_owned() } else { total.join(", ") };
        eprintln!("{} images: {total}", rows.len());
        Ok(outcome)
    }

    fn load(&self, row: &ImageRow, recipe: &Recipe) -> Result<Frame, String> {
        let original = row.load(&self.state).map_err(|error| error.to_string())?;
        let roi = original.roi;
        intake::capture(&original.into_capture(row.time), roi, recipe, Vec::new()).map_err(|error| error.to_string())
    }

    fn show(&self, row: &ImageRow, result: &str, judged: Result<Judged, String>) -> Result<()> {
        let stored = row.reading.map(|reading| reading[0]);
        let now = judged.as_ref().ok().map(|judged| judged.reading);
        if self.json {
            line(&json!({
                "image": row.path, "id": row.id, "station": row.station, "kind": row.kind,
                "time": row.time.to_string(), "result": result, "stored": stored,
                "now": now.map(|reading| reading.score), "verdict": now.map(|reading| reading.judgement.name()),
                "fault": judged.as_ref().err(),
            }))?;
        } else {
            let number = |score: Option<f32>| score.map_or_else(|| "-".to_owned(), |score| format!("{score:.6}"));
            let (stored, now) = (number(stored), number(now.map(|reading| reading.score)));
            writeln!(std::io::stdout(), "{result:<11} {stored:>12} {now:>12}  {:<8} {}", row.kind, row.path)?;
        }
        if let Err(reason) = judged {
            eprintln!("fault: {}: {reason}", row.path);
        }
        Ok(())
    }

    /// Alarms one by one; of the passes, of which only some are kept, those that would be rejected.
    fn retell(&self, reader: &Reader, filter: &Filter, threshold: f32) -> Result<Outcome> {
        let mut tally = BTreeMap::<&str, Retold>::new();
        let mut one = |kind: &'static str, id: &str, station: &str, time: Timestamp, score: f32| -> Result<()> {
            let retold = Retold::one(score, threshold);
            *tally.entry(kind).or_default() += retold;
            let rejected = retold.rejected == 1;
            if kind == "pass" && !rejected {
                return Ok(());
            }
            if self.json {
                let time = time.to_string();
                return line(&json!({
                    "id": id, "station": station, "kind": kind, "time": time, "score": score, "rejected": rejected
                }));
            }
            let verdict = if rejected { "reject" } else { "no reject" };
            Ok(writeln!(std::io::stdout(), "{kind:<7} {verdict:<10} {score:>12.6}  {time}  {station}  {id}")?)
        };
        if !self.json {
            writeln!(std::io::stdout(), "was     would be          score  time")?;
        }
        let alarms = Filter { kinds: vec![EventKind::Reject, EventKind::Review], ..filter.clone() };
        for stored in reader.events(&alarms) {
            let event = stored?.event;
            if let Some(reading) = &event.reading {
                one(event.kind.name(), &event.id, &event.station, event.time, reading.score)?;
            }
        }
        for pass in reader.passes(filter) {
            let pass = pass?;
            one("pass", &pass.id, &pass.station, pass.time, pass.reading.score)?;
        }
        for (kind, retold) in &tally {
            let sampled = if *kind == "pass" { " (only every `keep_every`-th pass is stored)" } else { "" };
            eprintln!("{kind}: {} of {} would be rejected{sampled}", retold.rejected, retold.parts);
        }
        if tally.is_empty() {
            eprintln!("no part with a stored score in this time");
        }
        Ok(Outcome::Fine)
    }
}

/// The word for what came out. Scores of another shelf are shown and not compared.
fn word(row: &ImageRow, own: &str, judged: &Result<Judged, String>) -> &'static str {
    match (judged, row.reading) {
        (Err(_), _) => "fault",
        (Ok(_), None) => "no-score",
        (Ok(_), Some(_)) if row.shelf != own => "other-shelf",
        (Ok(judged), Some([stored, ..])) => Agreement::of(stored, judged.reading.score).name(),
    }
}

fn line(object: &Value) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{object}")?)
}
