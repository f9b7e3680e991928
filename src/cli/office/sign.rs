//! `shelfwatch sign`: vouches for a shelf.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use shelfwatch::shelf::{SecretKey, SignatureError, sign, signer, write_atomically};

use crate::cli::{Outcome, inputs};

/// Sign a shelf, so that devices that trust the key take it.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch sign line.shelf --key plant.key")]
pub(in crate::cli) struct Sign {
    /// The shelf.
    #[arg(value_name = "line.shelf")]
    shelf: PathBuf,
    /// The secret key, as `shelfwatch keygen` makes it.
    #[arg(long, value_name = "plant.key")]
    key: PathBuf,
    /// Where the signed shelf goes; left out, to the same file.
    #[arg(short, long, value_name = "signed.shelf")]
    output: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Sign {
    pub(super) fn run(self) -> Result<Outcome> {
        let key = SecretKey::read(&self.key)?;
        let file = inputs::file(&self.shelf)?;
        let name = || self.shelf.display().to_string();
        let before = match signer(&file) {
            Ok(before) => before.map(|key| key.fingerprint()),
            // Whoever signs vouches anew; what was there before counts for nothing.
            Err(SignatureError::Malformed | SignatureError::Broken(_)) => None,
            Err(error) => return Err(error).with_context(name),
        };
        let signed = sign(&file, &key).with_context(name)?;
        let output = self.output.as_ref().unwrap_or(&self.shelf);
        write_atomically(output, &signed)?;
        let fingerprint = key.public().fingerprint();
        if self.json {
            let found = json!({ "shelf": output, "signed_by": fingerprint, "signed_before_by": before });
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            let instead = before.map_or_else(String::new, |before| format!(", instead of {before}"));
            println!("{}: signed by {fingerprint}{instead}", output.display());
        }
        Ok(Outcome::Fine)
    }
}
