//! `shelfwatch run`: the daemon that sits on the line.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use shelfwatch::config::Config;
use shelfwatch::device::Plant;
use tracing_subscriber::filter::LevelFilter;

use super::Outcome;

/// Judge every part that the cameras see, signal and record.
///
/// SIGHUP reads the configuration again and takes it over when it is sound; SIGTERM and SIGINT end in order.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch doctor --config /etc/shelfwatch/station.toml
  shelfwatch run --config /etc/shelfwatch/station.toml")]
pub(super) struct Run {
    /// The station's configuration.
    #[arg(long, value_name = "station.toml")]
    config: PathBuf,
    /// How much is logged, to standard error.
    #[arg(long, value_enum, default_value_t = Level::Info)]
    log: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Run {
    pub(super) fn run(self) -> Result<Outcome> {
        let level = match self.log {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        };
        let log = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(std::io::stderr);
        // The journal of systemd writes its own times and wants no colours.
        if std::env::var_os("JOURNAL_STREAM").is_some() {
            log.with_ansi(false).without_time().init();
        } else {
            log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
        }
        let config = Config::load(&self.config)?;
        Plant::start(&self.config, config)?.run()?;
        Ok(Outcome::Fine)
    }
}
