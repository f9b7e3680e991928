//! Until when each station may be believed, so that a station that hangs stops RUN-OK by saying nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One slot a station: the time until which it vouches for its parts, and how often it came round.
#[derive(Debug)]
pub struct Liveness {
    begin: Instant,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Milliseconds after `begin`; 0 vouches for nothing.
    until: AtomicU64,
    rounds: AtomicU64,
}

impl Liveness {
    /// As many stations, none of which vouches for anything yet.
    pub fn new(stations: usize) -> Self {
        Self { begin: Instant::now(), slots: (0..stations).map(|_| Slot::default()).collect() }
    }

    /// The station vouches for its parts for so long from now.
    pub fn vouch(&self, station: usize, time: Duration) {
        self.set(station, (self.begin.elapsed() + time).as_millis() as u64);
    }

    /// The station vouches for nothing any more.
    pub fn withdraw(&self, station: usize) {
        self.set(station, 0);
    }

    fn set(&self, station: usize, until: u64) {
        if let Some(slot) = self.slots.get(station) {
            slot.until.store(until, Ordering::Release);
        }
    }

    /// The station's loop came round once more, well or not.
    pub fn round(&self, station: usize) {
        if let Some(slot) = self.slots.get(station) {
            slot.rounds.fetch_add(1, Ordering::Release);
        }
    }

    /// The time until which every station vouches; `None` where one does not now.
    pub fn until(&self) -> Option<Instant> {
        let least = self.slots.iter().map(|slot| slot.until.load(Ordering::Acquire)).min()?;
        let until = self.begin + Duration::from_millis(least);
        (until > Instant::now()).then_some(until)
    }

    /// How often each station came round.
    pub fn rounds(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().map(|slot| slot.rounds.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Liveness;

    #[test]
    fn every_station_must_vouch() {
        let liveness = Liveness::new(2);
        assert!(liveness.until().is_none());
        liveness.vouch(0, Duration::from_mins(1));
        assert!(liveness.until().is_none());
        liveness.vouch(1, Duration::from_mins(2));
        assert!(liveness.until().is_some());
        liveness.withdraw(0);
        assert!(liveness.until().is_none());
        liveness.vouch(0, Duration::ZERO);
        assert!(liveness.until().is_none());
        assert!(Liveness::new(0).until().is_none());
    }
}
