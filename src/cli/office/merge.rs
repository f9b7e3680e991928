//! `shelfwatch merge`: statistics that were taken in pieces become one, as if taken in one go.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use shelfwatch::method::Statistics;
use shelfwatch::shelf::write_atomically;

use crate::cli::{Outcome, inputs};

/// Merge statistics that were taken in pieces.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch fit --backbone m.onnx --images part1/ --stats-out 1.stats
  shelfwatch fit --backbone m.onnx --images part2/ --stats-out 2.stats
  shelfwatch merge 1.stats 2.stats -o all.stats
  shelfwatch fit --backbone m.onnx --stats all.stats --calibrate good-later/ -o line.shelf")]
pub(in crate::cli) struct Merge {
    /// Statistics files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// The merged statistics.
    #[arg(short, long, value_name = "all.stats")]
    output: PathBuf,
}

impl Merge {
    pub(super) fn run(self) -> Result<Outcome> {
        let read = |path: &PathBuf| -> Result<Statistics> {
            let file = inputs::file(path)?;
            Statistics::from_bytes(&file).with_context(|| format!("statistics {}", path.display()))
        };
        let (first, others) = self.files.split_first().context("give statistics files")?;
        let mut all = read(first)?;
        for path in others {
            all.merge(&read(path)?).with_context(|| format!("statistics {}", path.display()))?;
        }
        write_atomically(&self.output, &all.to_bytes())?;
        if self.json {
            let found = serde_json::json!({ "statistics": self.output, "images": all.images() });
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            println!("{}: statistics of {} images", self.output.display(), all.images());
        }
        Ok(Outcome::Fine)
    }
}
