//! What systemd hears of us: ready, how it goes, still alive. Without systemd nothing is said.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Rounds of every station that must be seen between two signs of life.
const LONGEST_HANG: Duration = Duration::from_secs(10);
/// Between two signs of life while something long goes on.
const STEP: Duration = Duration::from_secs(1);
/// For how long such a sign puts off the end of systemd's patience.
const EXTENSION: Duration = Duration::from_secs(15);

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

    /// Something comes that may take [`EXTENSION`]: systemd hears that this is no hang, also where it asked for the end.
    pub(super) fn busy() {
        say(&[NotifyState::Watchdog, NotifyState::ExtendTimeoutUsec(EXTENSION.as_micros() as u32)]);
    }

    /// Calls `done` until it says so, with the time that it may take; false where that has not happened within `most`.
    /// Says [`busy`](Self::busy) meanwhile.
    pub(super) fn while_busy(most: Duration, mut done: impl FnMut(Duration) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            Self::busy();
            let left = most.saturating_sub(begun.elapsed());
            if done(left.min(STEP)) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LONGEST_HANG, Notice, STEP};

    #[test]
    fn a_station_that_does_not_come_round_is_a_hang() {
        let mut notice = Notice::new(2);
        let long_ago = Instant::now().checked_sub(LONGEST_HANG).expect("up for longer than that");
        assert!(notice.feed([5, 7].into_iter()));
        for seen in &mut notice.seen {
            seen.1 = long_ago;
        }
        assert!(!notice.feed([6, 7].into_iter()), "one of the two hangs");
        assert!(!notice.feed([7, 7].into_iter()));
        assert!(notice.feed([8, 8].into_iter()), "it came back");
    }

    #[test]
    fn what_takes_long_is_asked_again_until_its_time_is_over() {
        let mut asked = Vec::new();
        let most = STEP * 3;
        assert!(!Notice::while_busy(Duration::ZERO, |step| step > STEP));
        assert!(Notice::while_busy(most, |step| {
            asked.push(step);
            asked.len() == 4
        }));
        assert!(asked.iter().all(|step| *step <= STEP), "systemd must hear of it in between");
        let begun = Instant::now();
        assert!(!Notice::while_busy(Duration::from_millis(30), |step| {
            std::thread::sleep(step);
            false
        }));
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }
}
