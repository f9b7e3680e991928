//! `shelfwatch install` and `rollback`: a new shelf for a device, proven there before it is used, and the way back.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use shelfwatch::config::{Config, Station};
use shelfwatch::device::install::{Found, examine, roll_back, take_into_use};

use super::Outcome;
use super::adoption::Adoption;

/// Where the configuration of a packaged device lies.
pub(super) const CONFIG: &str = "/etc/shelfwatch/station.toml";

/// Take a new shelf into use on a device, after it has been proven there.
///
/// Checks length and checksums, signature, size, and the scores of the golden images on this very device. Only then the
/// shelf takes the place of the one in use, which is kept for `rollback`; a running daemon takes it over by itself.
/// Until it has judged a part with it, the shelf is on trial: where the daemon does not get over three starts, the one
/// before comes back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo shelfwatch install line.shelf
  sudo shelfwatch install line.shelf --station cam2 --config /etc/shelfwatch/station.toml
  shelfwatch install line.shelf --to pi@line3 --sudo      # over ssh; shelfwatch is installed there
  shelfwatch install line.shelf --to pi@line3 --sudo --ssh 'ssh -J gate -p 2222'
  ssh pi@line3 sudo shelfwatch install - < line.shelf     # the same by hand

Exit status: 0 it is in use, 2 it is not.")]
pub(super) struct Install {
    /// The shelf; `-` reads it from standard input.
    #[arg(value_name = "line.shelf")]
    shelf: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Another device, by ssh: `user@host`, as ssh understands it.
    #[arg(long, value_name = "user@host")]
    to: Option<String>,
    /// With --to: the program that reaches it, with its options.
    #[arg(long, value_name = "COMMAND", default_value = "ssh", requires = "to")]
    ssh: String,
    /// With --to: run it there by sudo.
    #[arg(long, requires = "to")]
    sudo: bool,
    /// Check and prove it, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Return to the shelf that was in use before, after it has been proven again.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sudo shelfwatch rollback --station cam2

Exit status: 0 it is in use, 2 it is not. A second rollback takes the first one back.")]
pub(super) struct Rollback {
    #[command(flatten)]
    place: Place,
}

/// Which shelf of which device.
#[derive(Debug, Args)]
struct Place {
    /// The station's configuration.
    #[arg(long, value_name = "station.toml", default_value = CONFIG)]
    config: PathBuf,
    /// The station, where there are several.
    #[arg(long, value_name = "NAME")]
    station: Option<String>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

impl Place {
    fn load(&self) -> Result<Config> {
        Ok(Config::load(&self.config)?)
    }

    fn station<'c>(&self, config: &'c Config) -> Result<&'c Station> {
        let names = || config.station_names().join(", ");
        match (&self.station, &config.station[..]) {
            (Some(name), _) => {
                config.station(name).with_context(|| format!("no station {name}; there are {}", names()))
            }
            (None, [only]) => Ok(only),
            (None, _) => bail!("this device has several stations; say which by --station: {}", names()),
        }
    }

    /// Waits for the daemon and says all of it.
    fn conclude(&self, config: &Config, station: &Station, found: &Found, what: &str) -> Result<Outcome> {
        let end = End::of(config, station, found, what);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&end.told)?);
        } else {
            print!("{}", end.words);
        }
        Ok(if end.refused { Outcome::Failed } else { Outcome::Fine })
    }
}

/// How it ended with a shelf that was put in place.
pub(super) struct End {
    /// As JSON.
    pub(super) told: Value,
    /// As text.
    pub(super) words: String,
    /// The daemon goes on with another.
    pub(super) refused: bool,
}

impl End {
    /// Waits for the daemon.
    pub(super) fn of(config: &Config, station: &Station, found: &Found, what: &str) -> End {
        let adopted = Adoption::wait(config, station, &found.sha256);
        End {
            told: object(station, found, what, &adopted),
            words: format!("{what}: {}\ndaemon: {}\n", station.shelf.display(), adopted.words()),
            refused: matches!(adopted, Adoption::Refused(_)),
        }
    }
}

impl Install {
    pub(super) fn run(self) -> Result<Outcome> {
        if let Some(device) = &self.to {
            return self.send(device);
        }
        let config = self.place.load()?;
        let station = self.place.station(&config)?;
        let shelf = self.read(config.install.bytes())?;
        let keeps = || format!("{} is not taken, the shelf in use stays", self.shelf.display());
        let found = examine(&shelf, station, &config.install).with_context(keeps)?;
        if !self.place.json {
            print!("{}", report(&found));
        }
        if self.dry_run {
            if self.place.json {
                println!("{}", serde_json::to_string_pretty(&object(station, &found, "proven", &Adoption::NotAsked))?);
            }
            return Ok(Outcome::Fine);
        }
        take_into_use(&shelf, station).with_context(keeps)?;
        self.place.conclude(&config, station, &found, "in use")
    }

    /// The shelf, or a byte more than the limit of one that is too large.
    fn read(&self, limit: u64) -> Result<Vec<u8>> {
        let source: Box<dyn Read> =
            if self.shelf == Path::new("-") { Box::new(stdin()) } else { Box::new(self.open()?) };
        let mut bytes = Vec::new();
        let read = source.take(limit + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("cannot read {}", self.shelf.display()))?;
        Ok(bytes)
    }

    fn open(&self) -> Result<File> {
        let wrong = || format!("cannot read {}; check the path and its permissions", self.shelf.display());
        File::open(&self.shelf).with_context(wrong)
    }

    /// Lets the device do it, and shows what it says.
    fn send(&self, device: &str) -> Result<Outcome> {
        if device.starts_with('-') {
            bail!("`{device}` is no device; give user@host");
        }
        let file = self.open()?;
        let mut words = Vec::new();
        if self.sudo {
            words.push("sudo".to_owned());
        }
        words.extend(["shelfwatch", "install", "-", "--config"].map(str::to_owned));
        words.push(quoted(&self.place.config.to_string_lossy()));
        if let Some(station) = &self.place.station {
            words.extend(["--station".to_owned(), quoted(station)]);
        }
        words.extend(
            [("--json", self.place.json), ("--dry-run", self.dry_run)]
                .iter()
                .filter(|(_, is)| *is)
                .map(|(w, _)| (*w).to_owned()),
        );
        let mut ssh = self.ssh.split_whitespace();
        let program = ssh.next().context("--ssh names no program; leave it out, or write ssh with its options")?;
        let status = Command::new(program).args(ssh).arg(device).arg(words.join(" ")).stdin(Stdio::from(file)).status();
        match status.with_context(|| format!("cannot start {program}; install openssh-client"))?.code() {
            Some(0) => Ok(Outcome::Fine),
            Some(255) => bail!("ssh did not reach {device}; see what it said"),
            _ => Ok(Outcome::Failed),
        }
    }
}

impl Rollback {
    pub(super) fn run(self) -> Result<Outcome> {
        let config = self.place.load()?;
        let station = self.place.station(&config)?;
        let found = roll_back(station, &config.install).context("the shelf in use stays")?;
        if !self.place.json {
            print!("{}", report(&found));
        }
        self.place.conclude(&config, station, &found, "in use again")
    }
}

/// For the shell on the other side.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

pub(super) fn report(found: &Found) -> String {
    let product = if found.product.is_empty() { "no product named" } else { &found.product };
    let signed = found.signed_by.as_ref().map_or_else(|| "by nobody".to_owned(), |key| format!("by {key}"));
    let proof = found.proof;
    format!(
        "shelf: {product}, SHA-256 {}\nsigned: {signed}\nproven: {} golden images score here as where it was fitted ({} to the last bit, \
         the largest relative difference is {:e})\n",
        found.sha256, proof.images, proof.exact, proof.largest
    )
}

fn object(station: &Station, found: &Found, what: &str, adopted: &Adoption) -> Value {
    json!({
        "station": station.name, "shelf": station.shelf, "state": what, "product": found.product,
        "sha256": found.sha256, "signed_by": found.signed_by,
        "golden": { "images": found.proof.images, "exact": found.proof.exact, "largest_difference": found.proof.largest },
        "daemon": adopted.word(), "daemon_says": adopted.words()
    })
}
