//! How long to wait before the next try: from half a second to half a minute, with chance in it so that the devices of
//! a plant do not all come back in the same instant.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Waiting times between tries.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The time to wait after a connection that lasted `lasted` (0 when it was not made). `slow`: the broker has
    /// refused us, and asking again soon will not help.
    pub(super) fn wait(&mut self, lasted: Duration, slow: bool) -> Duration {
        if lasted >= GOOD {
            self.next = FIRST;
        }
        let whole = if slow { LONGEST } else { self.next };
        self.next = (self.next * 2).min(LONGEST);
        // Every `RandomState` is seeded by the system.
        let chance = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
        whole.mul_f64(0.75 + 0.25 * chance).max(FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn waits_grow_to_half_a_minute_and_start_again_after_a_good_connection() {
        let mut backoff = Backoff::default();
        let waits: Vec<f64> = (0..12).map(|_| backoff.wait(Duration::ZERO, false).as_secs_f64()).collect();
        assert!(waits.iter().all(|&wait| (0.5..=30.0).contains(&wait)), "{waits:?}");
        assert!(waits[0] == 0.5 && waits[2] >= 1.5 && waits[11] >= 22.5, "{waits:?}");
        assert!(backoff.wait(Duration::from_secs(11), false) <= Duration::from_millis(500));
        assert!(Backoff::default().wait(Duration::ZERO, true) >= Duration::from_secs(22));
    }
}
