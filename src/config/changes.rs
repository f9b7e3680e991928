//! What a new configuration changes in a running program, and what must start again for it.

use super::station::{Config, JournalOptions, Station};

/// What a reload has to do for one station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StationChange {
    /// Nothing.
    Same,
    /// Take over `decide`, `health`, `drift`, `timeout_ms` and `deadline_ms` between two parts.
    Live,
    /// End the station and start it with the new configuration.
    Restart,
    /// Start it.
    Added,
    /// End it.
    Removed,
}

/// The differences between the running configuration and a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Keys whose change takes effect only when the whole program starts again.
    pub program: Vec<&'static str>,
    /// Whether budgets or the keeping of passes changed; taken over at once.
    pub journal: bool,
    /// Every station of both, by name: first those of the new configuration in its order, then those that went.
    pub stations: Vec<(String, StationChange)>,
}

impl Changes {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let same = |(_, change): &(String, StationChange)| *change == StationChange::Same;
        self.program.is_empty() && !self.journal && self.stations.iter().all(same)
    }
}

impl Config {
    /// What `newer` changes.
    pub fn differences(&self, newer: &Self) -> Changes {
        let intent = |options: &JournalOptions| options.intent.clone();
        let budgets = |options: &JournalOptions| (options.image_megabytes, options.image_days, options.keep_every);
        let program = [
            ("site", self.site == newer.site),
            ("device", self.device == newer.device),
            ("state", self.state == newer.state),
            ("run_ok", self.run_ok == newer.run_ok),
            ("clear", self.clear == newer.clear),
            ("mqtt", self.mqtt == newer.mqtt),
            ("journal.intent", intent(&self.journal) == intent(&newer.journal)),
            ("web", self.web == newer.web),
        ];
        let kept = newer.station.iter().map(|station| {
            let change = self.station(&station.name).map_or(StationChange::Added, |older| change(older, station));
            (station.name.clone(), change)
        });
        let gone = self.station.iter().filter(|station| newer.station(&station.name).is_none());
        let gone = gone.map(|station| (station.name.clone(), StationChange::Removed));
        Changes {
            program: program.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect(),
            journal: budgets(&self.journal) != budgets(&newer.journal),
            stations: kept.chain(gone).collect(),
        }
    }
}

fn change(older: &Station, newer: &Station) -> StationChange {
    if older == newer {
        return StationChange::Same;
    }
    let live = Station {
        timeout_ms: newer.timeout_ms,
        deadline_ms: newer.deadline_ms,
        decide: newer.decide.clone(),
        health: newer.health.clone(),
        drift: newer.drift.clone(),
        ..older.clone()
    };
    if live == *newer { StationChange::Live } else { StationChange::Restart }
}
