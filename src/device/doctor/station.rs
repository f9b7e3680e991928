//! Checks of a station's own parts: shelf, source and lines.

use crate::config::{Config, Line, LineRef, PulseLine, RunOk, Station, Trigger};

use super::finding::Finding;
use super::{Probes, counted};

/// What is told of a shelf that was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenShelf {
    /// The product's name; may be empty.
    pub product: String,
    /// Golden images whose scores were reproduced.
    pub golden: usize,
    /// Width and height that the recipe makes of an image.
    pub size: [u32; 2],
}

/// What is told of an image that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenImage {
    /// Pixels a row of the judged part.
    pub width: u32,
    /// Its rows.
    pub height: u32,
    /// What makes it a fault rather than a part, with the remedy after a semicolon.
    pub fault: Option<String>,
}

/// What is told of a line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLine {
    /// Chip, number and name, as `gpiochip0:17 (GPIO17)`.
    pub place: String,
    /// Who holds it; `None` where it is free.
    pub consumer: Option<String>,
}

/// The finding on a shelf, and the size that its recipe needs.
pub(super) struct ShelfFinding {
    pub(super) finding: Finding,
    pub(super) size: Option<[u32; 2]>,
}

pub(super) fn shelf(config: &Config, station: &Station, probes: &Probes<'_>) -> ShelfFinding {
    let check = format!("shelf {}", station.name);
    let Some(prove) = probes.shelf else {
        return ShelfFinding { finding: Finding::unplugged(check), size: None };
    };
    match prove(config, station) {
        Ok(proven) => {
            let product = if proven.product.is_empty() { String::new() } else { format!(" of {}", proven.product) };
            let golden = counted(proven.golden, "golden image");
            let text = format!("{}{product} reproduces its {golden} here", station.shelf.display());
            ShelfFinding { finding: Finding::ok(check, text), size: Some(proven.size) }
        }
        Err(words) => ShelfFinding { finding: Finding::failed(check, &words), size: None },
    }
}

pub(super) fn image(station: &Station, size: Option<[u32; 2]>, probes: &Probes<'_>) -> Finding {
    let check = format!("camera {}", station.name);
    let Some(take) = probes.image else { return Finding::unplugged(check) };
    match take(station, size) {
        Ok(SeenImage { fault: Some(words), .. }) | Err(words) => Finding::failed(check, &words),
        Ok(SeenImage { width, height, .. }) => {
            Finding::ok(check, format!("{} gives images; {width} × {height} pixels are judged", station.source))
        }
    }
}

pub(super) fn lines(config: &Config, probes: &Probes<'_>) -> Vec<Finding> {
    let wanted = wanted(config);
    let Some(find) = probes.line else {
        return wanted.into_iter().map(|(name, _)| Finding::unplugged(name)).collect();
    };
    let mut seen: Vec<String> = Vec::new();
    let mut look = |(name, line): (String, Line)| {
        let found = match find(&line) {
            Ok(found) => found,
            Err(words) => return Finding::failed(name, &words),
        };
        if seen.contains(&found.place) {
            let words = format!("{} is used by another input or output too; give each a line of its own", found.place);
            return Finding::failed(name, &words);
        }
        seen.push(found.place.clone());
        match found.consumer {
            None => Finding::ok(name, format!("{} is free", found.place)),
            Some(consumer) if consumer.starts_with("shelfwatch") => {
                let words = format!(
                    "{} is held by a running shelfwatch; that is right while the station runs, else end it",
                    found.place
                );
                Finding::warning(name, &words)
            }
            Some(consumer) => {
                let words = format!("{} is held by {consumer}; free it there or use another line", found.place);
                Finding::failed(name, &words)
            }
        }
    };
    wanted.into_iter().map(&mut look).collect()
}

/// Every line that the configuration names.
fn wanted(config: &Config) -> Vec<(String, Line)> {
    let line = |chip: &Option<String>, line: &LineRef, active_low: bool| Line {
        chip: chip.clone(),
        line: line.clone(),
        active_low,
        bias: None,
    };
    let mut all = Vec::new();
    if let Some(RunOk { chip, line: name, active_low, .. }) = &config.run_ok {
        all.push(("output run_ok".to_owned(), line(chip, name, *active_low)));
    }
    if let Some(clear) = &config.clear {
        all.push(("input clear".to_owned(), clear.clone()));
    }
    for station in &config.station {
        for (key, output) in [("reject", &station.reject), ("review", &station.review)] {
            if let Some(PulseLine { chip, line: name, active_low, .. }) = output {
                all.push((format!("output {key} {}", station.name), line(chip, name, *active_low)));
            }
        }
        if let Trigger::Gpio { input, .. } = &station.trigger {
            all.push((format!("input trigger {}", station.name), input.clone()));
        }
    }
    all
}
