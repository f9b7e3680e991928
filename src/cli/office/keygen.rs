//! `shelfwatch keygen`: a pair of keys, for a plant that signs its shelves.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use shelfwatch::shelf::SecretKey;

use crate::cli::Outcome;

/// Make a pair of keys: one that signs shelves, and one by which devices know them.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch keygen -o plant          # plant.key stays on the PC that signs, plant.pub goes to the devices
  openssl pkey -in plant.key -text    # they are ordinary Ed25519 keys in PEM")]
pub(in crate::cli) struct Keygen {
    /// Name of the files, without their endings `.key` and `.pub`.
    #[arg(short, long, value_name = "NAME")]
    output: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Keygen {
    pub(super) fn run(self) -> Result<Outcome> {
        let ending = |ending: &str| {
            let mut name = self.output.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let (secret, public) = (ending(".key"), ending(".pub"));
        if public.exists() {
            bail!("{} is there already; give another name", public.display());
        }
        let key = SecretKey::generate()?;
        key.write(&secret)?;
        key.public().write(&public)?;
        let fingerprint = key.public().fingerprint();
        if self.json {
            let found = json!({ "secret": secret, "public": public, "fingerprint": fingerprint });
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            println!("{}: signs shelves; keep it secret, and keep a copy", secret.display());
            println!("{}: for the devices that shall trust it, fingerprint {fingerprint}", public.display());
        }
        Ok(Outcome::Fine)
    }
}
