//! Looks at everything a station needs and says what to do about what is missing. Changes nothing, and starts nothing
//! that pulses an output.

mod broker;
mod finding;
mod real;
mod station;
mod storage;
mod system;

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Line, Mqtt, Source, Station};

pub use finding::{Finding, Marks, Report, State};
pub use station::{FoundLine, ProvenShelf, SeenImage};

/// Proves a station's shelf on this machine. Errors are in words, with the remedy after a semicolon, as for all probes.
pub type ProveShelf<'a> = &'a dyn Fn(&Config, &Station) -> Result<ProvenShelf, String>;
/// Takes one image of the station's source, of the wanted width and height where the configuration sets none, and cuts
/// out the station's region.
pub type TakeImage<'a> = &'a dyn Fn(&Station, Option<[u32; 2]>) -> Result<SeenImage, String>;
/// Looks for a line without requesting it.
pub type FindLine<'a> = &'a dyn Fn(&Line) -> Result<FoundLine, String>;
/// Connects to the broker and logs in; says how.
pub type LogIn<'a> = &'a dyn Fn(&Config, &Mqtt) -> Result<String, String>;

/// What tries the station's parts out. A probe that is not there skips its checks.
#[derive(Clone, Copy, Default)]
pub struct Probes<'a> {
    /// The shelves.
    pub shelf: Option<ProveShelf<'a>>,
    /// The sources, but for folders, of which no file may be taken.
    pub image: Option<TakeImage<'a>>,
    /// The GPIO lines.
    pub line: Option<FindLine<'a>>,
    /// The broker.
    pub broker: Option<LogIn<'a>>,
}

/// Checks the configuration and all that it names. `root` is `/`; elsewhere, a tree with `proc`, `sys`, `run` and `etc`.
pub fn examine(file: &Path, root: &Path, probes: &Probes<'_>) -> Report {
    let mut findings = Vec::new();
    match Config::load(file) {
        Ok(config) => {
            let stations: Vec<&str> = config.station.iter().map(|station| station.name.as_str()).collect();
            let text = format!("{}: {} ({})", file.display(), counted(stations.len(), "station"), stations.join(", "));
            findings.push(Finding::ok("config", text));
            for station in &config.station {
                let shelf = station::shelf(&config, station, probes);
                findings.push(shelf.finding);
                findings.push(match &station.source {
                    Source::Folder { path, moved_to, .. } => storage::spool(station, path, moved_to.as_deref()),
                    _ => station::image(station, shelf.size, probes),
                });
            }
            findings.extend(station::lines(&config, probes));
            findings.extend(config.mqtt.as_ref().map(|mqtt| broker::broker(&config, mqtt, probes)));
            findings.extend(storage::state(&config, root));
            findings.push(system::user(&config, root));
        }
        Err(error @ ConfigError::Read { .. }) => findings.push(Finding::failed("config", &error.to_string())),
        Err(error) => {
            findings.extend(error.problems().iter().map(|problem| Finding::failed("config", &problem.to_string())));
            findings.push(Finding::skipped("stations", "the configuration must be right first".to_owned()));
        }
    }
    findings.push(system::clock(root));
    findings.push(system::memory(root));
    findings.push(system::heat(root));
    Report { config: PathBuf::from(file), findings }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
