//! `shelfwatch verify`: whether a shelf is whole and bears the signature of a trusted key.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use shelfwatch::shelf::{PublicKey, verify};
use shelfwatch_core::Shelf;

use super::{Outcome, inputs};

/// Check that a shelf is whole and signed by a trusted key.
///
/// Exit status: 0 it is, 2 it is not.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch verify line.shelf --key plant.pub --key other-plant.pub")]
pub(super) struct Verify {
    /// The shelf.
    #[arg(value_name = "line.shelf")]
    shelf: PathBuf,
    /// Public keys that are trusted.
    #[arg(long = "key", required = true, value_name = "plant.pub")]
    keys: Vec<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<Outcome> {
        let trusted = self.keys.iter().map(|path| PublicKey::read(path)).collect::<Result<Vec<_>, _>>()?;
        let file = inputs::file(&self.shelf)?;
        let name = || self.shelf.display().to_string();
        let shelf = Shelf::parse(&file).with_context(name)?;
        let key = verify(&file, &trusted).with_context(name)?;
        let place = trusted.iter().position(|one| *one == key).unwrap_or_default();
        if self.json {
            let found = json!({
                "shelf": self.shelf, "product": shelf.header().product, "signed_by": key.fingerprint(),
                "key": self.keys[place]
            });
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            let (by, key) = (key.fingerprint(), self.keys[place].display());
            println!("{}: whole, and signed by {by} ({key})", self.shelf.display());
        }
        Ok(Outcome::Fine)
    }
}
