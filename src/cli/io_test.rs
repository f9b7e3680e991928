//! `shelfwatch io-test`: pulses each configured output in turn and shows the inputs live, for wiring.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use shelfwatch::alert::gpio::io_test::{IoLines, Seen, run};
use shelfwatch::config::Config;

use super::Outcome;

/// Pulse each output and show each input, for wiring.
///
/// Everything that hangs on the outputs moves: keep hands off the ejector. Stop the daemon first, for it holds the lines
/// (`systemctl stop shelfwatch`). Exit status: 0 all lines work, 2 one does not.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shelfwatch io-test --config /etc/shelfwatch/station.toml --seconds 30")]
pub(super) struct IoTest {
    /// The configuration that names the lines.
    #[arg(long, value_name = "station.toml")]
    config: PathBuf,
    /// Watch the inputs for so long, from the beginning on.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Print what is seen as JSON, one object a line.
    #[arg(long)]
    json: bool,
}

impl IoTest {
    pub(super) fn run(self) -> Result<Outcome> {
        let config = Config::load(&self.config).with_context(|| self.config.display().to_string())?;
        let lines = IoLines::from(&config);
        ensure!(
            !lines.outputs.is_empty() || !lines.inputs.is_empty(),
            "{} names no lines; add `reject`, `run_ok` or a GPIO trigger",
            self.config.display()
        );
        let mut printed = Ok(());
        let failed = run(&lines, Duration::from_secs(self.seconds), &mut |seen| {
            if printed.is_ok() {
                printed = self.print(seen);
            }
        });
        printed?;
        Ok(if failed == 0 { Outcome::Fine } else { Outcome::Failed })
    }

    fn print(&self, seen: &Seen) -> Result<()> {
        use std::io::Write;

        let level = |active: &bool| if *active { "active" } else { "inactive" };
        // A line at a time, also into a pipe: somebody watches while he moves a hand before the sensor.
        let mut out = std::io::stdout().lock();
        match seen {
            seen if self.json => writeln!(out, "{}", serde_json::to_string(seen)?)?,
            Seen::Output { name, active } => writeln!(out, "output {name}: {}", level(active))?,
            Seen::Input { name, active, at_ms } => writeln!(out, "input {name}: {} ({at_ms} ms)", level(active))?,
            Seen::Failed { name, error, .. } => eprintln!("{name}: {error}"),
        }
        Ok(out.flush()?)
    }
}
