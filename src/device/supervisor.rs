//! Watches over running stations: feeds RUN-OK and the watchdog while all of them vouch, sends states and figures, and
//! says when a generation of stations must end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::notice::Notice;
use super::shown::{Board, Card};
use super::{Liveness, Tally};
use crate::status::StationState;

/// Between two looks.
const TURN: Duration = Duration::from_millis(50);
/// Between two looks at states and shelves.
const STATES: Duration = Duration::from_millis(500);
/// Between two sets of figures and two entries of the counters.
const FIGURES: Duration = Duration::from_mins(1);

/// What the system asks of the program, set by signal handlers.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    /// End in order.
    pub(super) stop: Arc<AtomicBool>,
    /// Read the configuration again.
    pub(super) reload: Arc<AtomicBool>,
}

/// Why a generation of stations ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The program ends.
    Stop,
    /// A new configuration is there.
    Reload,
    /// What was refused may work now.
    Retry,
}

/// Looks after one generation of stations.
pub(super) struct Supervisor<'a> {
    /// What is shown.
    pub(super) board: &'a Board,
    /// Who vouches.
    pub(super) liveness: &'a Liveness,
    /// What the system asks for.
    pub(super) signals: &'a Signals,
}

impl Supervisor<'_> {
    /// Watches until the generation must end: at a signal, or when `news` brings a cause. `news` must not wait.
    pub(super) fn watch(&self, news: &mut dyn FnMut() -> Option<Cause>) -> Cause {
        let mut notice = Notice::new(self.board.cards.len());
        let mut sent: Vec<StationState> = Vec::new();
        let (mut states_due, mut figures_due) = (Instant::now(), Instant::now() + FIGURES);
        let cause = loop {
            self.beat();
            let lives = notice.feed(self.liveness.rounds());
            if self.signals.stop.load(Ordering::Relaxed) {
                break Cause::Stop;
            }
            if let Some(cause) = news() {
                break cause;
            }
            let now = Instant::now();
            if now >= states_due {
                states_due = now + STATES;
                let states = self.states();
                self.send(&states, &sent);
                notice.status(&words(lives, &states));
                sent = states;
            }
            if now >= figures_due {
                figures_due = now + FIGURES;
                self.figures();
            }
            thread::sleep(TURN);
        };
        if let Some(heartbeat) = &self.board.heartbeat {
            heartbeat.stop("the stations end");
        }
        if cause == Cause::Stop {
            Notice::stopping();
        }
        cause
    }

    /// RUN-OK toggles while every station vouches and no longer than each of them does.
    fn beat(&self) {
        let Some(heartbeat) = &self.board.heartbeat else { return };
        match self.liveness.until() {
            Some(until) => heartbeat.allow(until),
            None => heartbeat.stop("a station is at fault or silent"),
        }
        if let Some(error) = heartbeat.take_error() {
            tracing::error!(code = error.code(), "{error}");
        }
    }

    fn states(&self) -> Vec<StationState> {
        self.board.cards.iter().map(Card::state).collect()
    }

    /// Sends the states that are not those `sent` before.
    fn send(&self, states: &[StationState], sent: &[StationState]) {
        let Some(publisher) = &self.board.publisher else { return };
        for (place, state) in states.iter().enumerate() {
            if sent.get(place) != Some(state)
                && let Ok(json) = serde_json::to_string(state)
            {
                publisher.state(&state.station, json);
            }
        }
    }

    /// Figures to the broker, counts to the journal.
    pub(super) fn figures(&self) {
        for card in &self.board.cards {
            self.count(&card.station, &card.tally);
            if let Some(publisher) = &self.board.publisher
                && let Ok(json) = serde_json::to_string(&card.stats(self.board.started))
            {
                publisher.stats(&card.station, json);
            }
        }
    }

    /// The last counts and states of stations that ended.
    pub(super) fn close(&self) {
        self.figures();
        self.send(&self.states(), &[]);
    }

    fn count(&self, station: &str, tally: &Tally) {
        let fresh = tally.take_fresh();
        if fresh != crate::journal::Counts::default() {
            self.board.writer.count(station, Timestamp::now(), fresh);
        }
    }
}

fn words(lives: bool, states: &[StationState]) -> String {
    if !lives {
        return "a station hangs".to_owned();
    }
    let ready = states.iter().filter(|state| state.ready).count();
    let fault = states.iter().find_map(|state| Some(format!("; {}: {}", state.station, state.fault.as_ref()?.text)));
    format!("{ready} of {} stations ready{}", states.len(), fault.unwrap_or_default())
}
