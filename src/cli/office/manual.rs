//! `shelfwatch manual`: the manual pages, one a verb, for a package.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};

use crate::cli::{Arguments, Outcome};

/// Write the manual pages, one for each verb.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch manual ~/.local/share/man/man1 && man shelfwatch-fit")]
pub(in crate::cli) struct Manual {
    /// The folder; it is made where it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Manual {
    pub(super) fn run(self) -> Result<Outcome> {
        let folder = || format!("cannot write manual pages to {}", self.folder.display());
        fs::create_dir_all(&self.folder).with_context(folder)?;
        clap_mangen::generate_to(Arguments::command(), &self.folder).with_context(folder)?;
        Ok(Outcome::Fine)
    }
}
