//! What the stations and the connection's thread tell each other. Holds the last state and figures of each station,
//! never more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

/// Most topics of an earlier configuration that one connection clears.
const MOST_STALE: usize = 256;

/// Whether and how to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Go on.
    No,
    /// Send what waits, take leave, end; at the latest then.
    Drain(Instant),
    /// End without a word.
    Now,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that the broker accepted.
    pub connections: u64,
    /// Events that the broker acknowledged; one that was sent twice counts twice.
    pub events: u64,
    /// Triggers and clears that were passed on.
    pub commands: u64,
    /// Retained triggers and clears, which were ignored: they may be from last week.
    pub retained: u64,
}

/// A message to be sent when the connection allows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    State { station: String, json: String },
    Stats { station: String, json: String },
    Stale { topic: String },
}

#[derive(Debug, Default)]
struct Inside {
    states: BTreeMap<String, String>,
    unsent: BTreeSet<String>,
    stats: BTreeMap<String, String>,
    stale: BTreeSet<String>,
    connected: bool,
    drained: bool,
    connection: Option<String>,
    refused: Option<String>,
    outbox: Option<String>,
    counts: Counts,
}

/// Shared between the stations and the connection's thread.
#[derive(Debug)]
pub(super) struct Board {
    inside: Mutex<Inside>,
    news: Notify,
    stop: watch::Sender<Stop>,
}

impl Default for Board {
    fn default() -> Self {
        Self { inside: Mutex::default(), news: Notify::new(), stop: watch::Sender::new(Stop::No) }
    }
}

impl Board {
    /// The contents are plain values that are whole after every statement, so a poisoned lock says nothing.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn state(&self, station: &str, json: String) {
        let mut inside = self.inside();
        inside.states.insert(station.to_owned(), json);
        inside.unsent.insert(station.to_owned());
        drop(inside);
        self.wake();
    }

    pub(super) fn stats(&self, station: &str, json: String) {
        self.inside().stats.insert(station.to_owned(), json);
        self.wake();
    }

    pub(super) fn stale(&self, topic: &str) {
        let mut inside = self.inside();
        if inside.stale.len() < MOST_STALE {
            inside.stale.insert(topic.to_owned());
        }
        drop(inside);
        self.wake();
    }

    /// Takes what is to be sent.
    pub(super) fn take(&self) -> Vec<Notice> {
        let mut inside = self.inside();
        let unsent = std::mem::take(&mut inside.unsent);
        let states = unsent.into_iter().filter_map(|station| {
            let json = inside.states.get(&station)?.clone();
            Some(Notice::State { station, json })
        });
        let mut notices: Vec<Notice> = states.collect();
        let stats = std::mem::take(&mut inside.stats);
        notices.extend(stats.into_iter().map(|(station, json)| Notice::Stats { station, json }));
        let stale = std::mem::take(&mut inside.stale);
        notices.extend(stale.into_iter().map(|topic| Notice::Stale { topic }));
        notices
    }

    pub(super) fn nothing_to_send(&self) -> bool {
        let inside = self.inside();
        inside.unsent.is_empty() && inside.stats.is_empty() && inside.stale.is_empty()
    }

    /// The broker has accepted us; every state is to be sent again, for it may have forgotten them.
    pub(super) fn connection_made(&self) {
        let mut inside = self.inside();
        inside.connected = true;
        inside.connection = None;
        inside.refused = None;
        inside.counts.connections += 1;
        inside.unsent = inside.states.keys().cloned().collect();
    }

    /// The connection is gone or was not made. Returns whether that is news.
    pub(super) fn connection_lost(&self, trouble: Option<String>) -> bool {
        let mut inside = self.inside();
        inside.connected = false;
        inside.stale.clear();
        let news = trouble.is_some() && inside.connection != trouble;
        inside.connection = trouble;
        news
    }

    /// The broker lets us do less than we want; the rest goes on.
    pub(super) fn refused(&self, what: String) {
        self.inside().refused = Some(what);
    }

    /// Whether that is news.
    pub(super) fn outbox_trouble(&self, trouble: Option<String>) -> bool {
        let mut inside = self.inside();
        let news = trouble.is_some() && inside.outbox != trouble;
        inside.outbox = trouble;
        news
    }

    pub(super) fn connected(&self) -> bool {
        self.inside().connected
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let inside = self.inside();
        let found = inside.connection.as_ref().or(inside.refused.as_ref()).or(inside.outbox.as_ref());
        found.cloned()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.inside().counts);
    }

    pub(super) fn counts(&self) -> Counts {
        self.inside().counts
    }

    pub(super) fn set_drained(&self) {
        self.inside().drained = true;
    }

    pub(super) fn drained(&self) -> bool {
        self.inside().drained
    }

    pub(super) fn stop(&self, how: Stop) {
        self.stop.send_replace(how);
    }

    pub(super) fn stopping(&self) -> Stop {
        *self.stop.borrow()
    }

    /// Comes back when there is a wish to end.
    pub(super) async fn stop_wished(&self) {
        // The sender lives as long as the board, so that waiting cannot fail.
        drop(self.stop.subscribe().wait_for(|stop| *stop != Stop::No).await.map(|_| ()));
    }

    /// Comes back when there is no time left.
    pub(super) async fn stop_due(&self) {
        self.stop_wished().await;
        if let Stop::Drain(deadline) = self.stopping() {
            let now = |stop: &Stop| *stop == Stop::Now;
            let mut stop = self.stop.subscribe();
            tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => {}
                _ = stop.wait_for(now) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Notice};

    #[test]
    fn only_the_last_state_waits_and_every_state_goes_out_again_after_a_new_connection() {
        let board = Board::default();
        for number in 0..1000 {
            board.state("a", format!("{number}"));
            board.stats("a", format!("{number}"));
        }
        let (station, json) = ("a".to_owned(), "999".to_owned());
        let state = Notice::State { station: station.clone(), json: json.clone() };
        assert_eq!(board.take(), [state, Notice::Stats { station: station.clone(), json: json.clone() }]);
        assert!(board.nothing_to_send());
        board.connection_made();
        assert_eq!(board.take(), [Notice::State { station, json }]);
    }
}
