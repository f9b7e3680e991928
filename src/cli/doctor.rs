//! `shelfwatch doctor`: whether all that a station needs is there, and what to do where it is not.

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use shelfwatch::device::doctor::{Marks, Probes, examine};

use super::Outcome;

/// Check configuration, shelf, camera, lines, broker, disk and clock.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 nothing failed, 2 something did.

Example:
  sudo -u shelfwatch shelfwatch doctor --config /etc/shelfwatch/station.toml")]
pub(super) struct Doctor {
    /// The station's configuration.
    #[arg(long, value_name = "station.toml")]
    config: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Result<Outcome> {
        let report = examine(&self.config, Path::new("/"), &Probes::real());
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            let plain = !stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            print!("{}", report.text(if plain { Marks::Words } else { Marks::Signs }));
        }
        Ok(if report.has_failed() { Outcome::Failed } else { Outcome::Fine })
    }
}
