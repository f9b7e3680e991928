//! `shelfwatch stick`: the shelves that a USB stick holds for this device.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use shelfwatch::config::{Config, Install, Station};
use shelfwatch::device::install::{examine, offered, take_into_use};
use shelfwatch::shelf::read_bounded;

use super::Outcome;
use super::install::{CONFIG, End, report};

/// Take the shelves that a USB stick holds for this device into use.
///
/// They are `shelfwatch/DEVICE/STATION.shelf` on the stick, by the names in the configuration, and are checked and proven
/// as by `install`. They must be signed by a key that the device trusts, whatever `unsigned` says. The service
/// shelfwatch-stick runs this when a stick is plugged in; without `usb = true` in `[install]` it changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  mount -o ro /dev/sda1 /mnt && sudo shelfwatch stick /mnt

Exit status: 0 all that the stick holds for this device is in use, 2 some of it is not.")]
pub(super) struct Stick {
    /// Where the stick is mounted.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The station's configuration.
    #[arg(long, value_name = "station.toml", default_value = CONFIG)]
    config: PathBuf,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

impl Stick {
    pub(super) fn run(self) -> Result<Outcome> {
        let config = Config::load(&self.config)?;
        let found = if config.install.usb { offered(&self.folder, &config) } else { Vec::new() };
        let mut all = Vec::with_capacity(found.len());
        let mut outcome = Outcome::Fine;
        for (station, path) in &found {
            if !self.json {
                println!("station {}: {}", station.name, path.display());
            }
            match self.take(&config, station, path) {
                Ok(End { told, refused, .. }) => {
                    all.push(told);
                    outcome = if refused { Outcome::Failed } else { outcome };
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    eprintln!("error: station {}: the shelf in use stays: {why}", station.name);
                    all.push(json!({ "station": station.name, "state": "refused", "error": why }));
                    outcome = Outcome::Failed;
                }
            }
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else if !config.install.usb {
            println!("this device takes no shelves from USB sticks; set usb = true in [install] where it should");
        } else if found.is_empty() {
            println!("the stick holds nothing for {}; expected shelfwatch/{0}/STATION.shelf", config.device);
        }
        Ok(outcome)
    }

    fn take(&self, config: &Config, station: &Station, path: &Path) -> Result<End> {
        // Anybody may reach the device's sockets: a signature it must be.
        let install = Install { unsigned: false, ..config.install.clone() };
        let shelf = read_bounded(path, install.bytes())?;
        if read_bounded(&station.shelf, install.bytes()).is_ok_and(|used| used == shelf) {
            let words = format!("in use already: {}\n", station.shelf.display());
            if !self.json {
                print!("{words}");
            }
            let told = json!({ "station": station.name, "shelf": station.shelf, "state": "in use already" });
            return Ok(End { told, words, refused: false });
        }
        let found = examine(&shelf, station, &install)?;
        take_into_use(&shelf, station).context("cannot be switched")?;
        let end = End::of(config, station, &found, "in use");
        if !self.json {
            print!("{}{}", report(&found), end.words);
        }
        Ok(end)
    }
}
