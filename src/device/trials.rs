//! Shelves on trial: one that was just installed and has not judged a part yet. Where the program does not get over its
//! start with it, or it is refused, the shelf before comes back by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Tally;
use super::install::{Slots, Trial};
use crate::config::Station;

/// Starts that a shelf has to judge its first part. An end in order does not count.
const STARTS: u32 = 3;
/// How long a generation of stations must have lasted, besides having judged a part.
const PROBATION: Duration = Duration::from_secs(30);

/// The shelves of the stations that are on trial.
pub(super) struct Trials {
    watched: Vec<Watched>,
    begun: Instant,
}

/// One of them, with the counts of each station that uses it and what it had judged when this began.
struct Watched {
    slots: Slots,
    trial: Trial,
    counts: Vec<(Arc<Tally>, u64)>,
}

impl Trials {
    /// Counts a start of the program for every shelf on trial, and leaves those that had enough of them: says which, why,
    /// and what to do.
    pub(super) fn start(stations: &[Station]) -> Vec<String> {
        let mut left = Vec::new();
        for slots in places(stations) {
            let Some(trial) = slots.trial() else { continue };
            if trial.starts < STARTS {
                note(&slots, &Trial { starts: trial.starts + 1, ..trial });
            } else if let Some(one) =
                leave(&slots, &format!("the program started {STARTS} times with it and judged nothing"))
            {
                left.push(one);
            }
        }
        left
    }

    /// Leaves a shelf that is refused, where it is on trial and there is one before; says so.
    pub(super) fn refuse(station: &Station, why: &str) -> Option<String> {
        let slots = Slots::new(&station.shelf);
        slots.trial()?;
        leave(&slots, why)
    }

    /// Those of these stations, from now on.
    pub(super) fn watch(stations: &[Station], tallies: &BTreeMap<String, Arc<Tally>>) -> Self {
        let watched = |slots: Slots| {
            let trial = slots.trial()?;
            let users = stations.iter().filter(|station| station.shelf == slots.current());
            let tallies = users.filter_map(|station| tallies.get(&station.name));
            let counts = tallies.map(|tally| (Arc::clone(tally), tally.judged())).collect();
            Some(Watched { slots, trial, counts })
        };
        Self { watched: places(stations).into_iter().filter_map(watched).collect(), begun: Instant::now() }
    }

    /// Ends the trial of each shelf with which all its stations have judged a part.
    pub(super) fn poll(&mut self) {
        if self.watched.is_empty() || self.begun.elapsed() < PROBATION {
            return;
        }
        self.watched.retain(|Watched { slots, trial, counts }| {
            if counts.iter().any(|(tally, before)| tally.judged() <= *before) {
                return true;
            }
            let name = slots.current().display();
            match slots.end_trial(&trial.shelf) {
                Ok(()) => tracing::info!("{name} has proven itself at work"),
                Err(error) => tracing::error!("the trial of {name} cannot be ended: {error}; see to its folder"),
            }
            false
        });
    }

    /// An end in order: that start was none that went wrong.
    pub(super) fn close(self) {
        for Watched { slots, trial, .. } in self.watched {
            note(&slots, &Trial { starts: 0, ..trial });
        }
    }
}

fn places(stations: &[Station]) -> BTreeSet<Slots> {
    stations.iter().map(|station| Slots::new(&station.shelf)).collect()
}

fn note(slots: &Slots, trial: &Trial) {
    if let Err(error) = slots.set_trial(trial) {
        tracing::error!(
            "cannot note the trial of {}: {error}; check the rights of the folder",
            slots.current().display()
        );
    }
}

fn leave(slots: &Slots, why: &str) -> Option<String> {
    let name = slots.current().display();
    match slots.roll_back() {
        Ok(()) => {
            Some(format!("{name} was left for the shelf before it, since {why}; fit it again, or look at the device"))
        }
        Err(error) => {
            tracing::error!("{name} is on trial and has failed ({why}), and the one before cannot be had: {error}");
            None
        }
    }
}
