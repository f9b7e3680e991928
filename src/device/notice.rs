//! What systemd hears of us: ready, how it goes, still alive. Without systemd nothing is said.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Rounds of every station that must be seen between two signs of life.
const LONGEST_HANG: Duration = Duration::from_secs(10);

/// The watchdog is fed while every station's loop comes round, well or not: a fault is no hang.
#[derive(Debug)]
pub(super) struct Notice {
    every: Option<Duration>,
    fed: Option<Instant>,
    seen: Vec<(u64, Instant)>,
    ready: bool,
    status: String,
}

impl Notice {
    /// For so many stations.
    pub(super) fn new(stations: usize) -> Self {
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        Self { every, fed: None, seen: vec![(0, Instant::now()); stations], ready: false, status: String::new() }
    }

    /// Tells how it goes; the first time also that the start is over.
    pub(super) fn status(&mut self, words: &str) {
        if self.status != words {
            words.clone_into(&mut self.status);
            say(&[NotifyState::Status(words)]);
        }
        if !self.ready {
            self.ready = true;
            say(&[NotifyState::Ready]);
        }
    }

    /// Feeds the watchdog when it is time and no station hangs. False where one does.
    pub(super) fn feed(&mut self, rounds: impl Iterator<Item = u64>) -> bool {
        let now = Instant::now();
        for (seen, rounds) in self.seen.iter_mut().zip(rounds) {
            if seen.0 != rounds {
                *seen = (rounds, now);
            }
        }
        let lives = self.seen.iter().all(|(_, at)| now.duration_since(*at) < LONGEST_HANG);
        let due = self.every.filter(|every| self.fed.is_none_or(|fed| now.duration_since(fed) >= *every));
        if lives && due.is_some() {
            self.fed = Some(now);
            say(&[NotifyState::Watchdog]);
        }
        lives
    }

    /// The end has begun.
    pub(super) fn stopping() {
        say(&[NotifyState::Stopping]);
    }
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
