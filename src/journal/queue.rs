//! What waits for the journal's thread. Alarms are bounded but never dropped; images, passes and counters may be, counted.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::counts::{Counts, Pass};
use super::intent::Slot;
use super::open::Opening;
use super::original::Original;
use super::writer::{Drops, Full, Trouble};
use crate::event::Event;

/// Alarms that may wait.
pub(super) const MOST_ALARMS: usize = 10_000;
/// Bytes of images that may wait.
pub(super) const MOST_IMAGE_BYTES: usize = 64 << 20;
/// Passes that may wait.
const MOST_PASSES: usize = 256;
/// Minutes of counters that may wait.
const MOST_MINUTES: usize = 20_000;
/// Alarms that are committed at once.
const MOST_AT_ONCE: usize = 1000;

/// The pause after a failure while somebody waits.
const SHORT_PAUSE: Duration = Duration::from_millis(20);

/// An event on its way to the journal.
#[derive(Debug)]
pub(super) struct Alarm {
    pub(super) event: Event,
    pub(super) image: Option<Original>,
    pub(super) slot: Option<Slot>,
}

/// Counters of one minute.
#[derive(Debug)]
pub(super) struct Minute {
    pub(super) station: String,
    /// Minutes since 1970.
    pub(super) number: i64,
    pub(super) counts: Counts,
}

/// What one commit takes. It stays with the thread until it is in the journal.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) alarms: Vec<Alarm>,
    pub(super) passes: Vec<Pass>,
    pub(super) minutes: Vec<Minute>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.alarms.is_empty() && self.passes.is_empty() && self.minutes.is_empty()
    }
}

/// The queue between the stations' threads and the journal's.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something came for the thread.
    wake: Condvar,
    /// The thread has done something.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    alarms: VecDeque<Alarm>,
    passes: VecDeque<Pass>,
    minutes: Vec<Minute>,
    /// Alarms taken by the thread and not yet committed.
    taken: usize,
    /// Bytes of images here and in the thread's hands.
    image_bytes: usize,
    drops: Drops,
    trouble: Option<Trouble>,
    repaired: Option<Opening>,
    /// Calls of `flush`, and the last one answered.
    flushes: (u64, u64),
    closing: bool,
    ended: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alarm(&self, mut event: Event, mut image: Option<Original>, slot: Option<Slot>) -> Result<(), Full> {
        let mut state = self.lock();
        if state.alarms.len() + state.taken >= MOST_ALARMS || state.ended {
            return Err(Full);
        }
        let bytes = image.as_ref().map_or(0, |image| image.bytes.len());
        if state.image_bytes + bytes > MOST_IMAGE_BYTES {
            state.drops.images += 1;
            (image, event.image) = (None, None);
        } else {
            state.image_bytes += bytes;
        }
        state.alarms.push_back(Alarm { event, image, slot });
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn pass(&self, mut pass: Pass) {
        let mut state = self.lock();
        if state.passes.len() >= MOST_PASSES {
            state.drops.passes += 1;
            return;
        }
        let bytes = pass.image.as_ref().map_or(0, |image| image.bytes.len());
        // Half of the room is for the images of alarms only.
        if state.image_bytes + bytes > MOST_IMAGE_BYTES / 2 {
            state.drops.images += 1;
            pass.image = None;
        } else {
            state.image_bytes += bytes;
        }
        state.passes.push_back(pass);
    }

    pub(super) fn count(&self, station: &str, minute: i64, counts: Counts) {
        let mut state = self.lock();
        let known = state.minutes.iter_mut().rev().find(|known| known.number == minute && known.station == station);
        if let Some(known) = known {
            known.counts += counts;
        } else if state.minutes.len() < MOST_MINUTES {
            state.minutes.push(Minute { station: station.to_owned(), number: minute, counts });
        } else {
            state.drops.counts += 1;
        }
    }

    /// Waits for an alarm, a flush or the end, at most that long, and takes what is there. A thread that is `behind`
    /// after a failure takes nothing more while it holds a batch, and keeps to its pause; a short one where it is waited
    /// for.
    pub(super) fn take(&self, batch: &mut Batch, longest: Duration, behind: bool) -> Wanted {
        let begin = Instant::now();
        let mut state = self.lock();
        loop {
            let asked = state.closing || state.flushes.0 != state.flushes.1;
            let pause = match (asked, behind) {
                (true, true) => longest.min(SHORT_PAUSE),
                (true, false) => Duration::ZERO,
                (false, _) => longest,
            };
            let left = pause.saturating_sub(begin.elapsed());
            if left.is_zero() || batch.is_empty() && !state.alarms.is_empty() {
                break;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if batch.is_empty() {
            let some = state.alarms.len().min(MOST_AT_ONCE);
            batch.alarms.extend(state.alarms.drain(..some));
            batch.passes.extend(state.passes.drain(..));
            batch.minutes.append(&mut state.minutes);
            state.taken = batch.alarms.len();
        }
        Wanted { closing: state.closing, flush: state.flushes.0, more: !state.alarms.is_empty() }
    }

    /// Whether alarms wait for the thread.
    pub(super) fn has_alarms(&self) -> bool {
        !self.lock().alarms.is_empty()
    }

    /// The thread's report after a step.
    pub(super) fn report(&self, report: Report) {
        let mut state = self.lock();
        state.taken = report.still_taken;
        state.image_bytes = state.image_bytes.saturating_sub(report.image_bytes_done);
        state.trouble = report.trouble;
        state.flushes.1 = report.flushed.unwrap_or(state.flushes.1);
        state.repaired = report.repaired.or(state.repaired.take());
        state.ended |= report.ended;
        drop(state);
        self.done.notify_all();
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.lock().trouble.clone()
    }

    pub(super) fn drops(&self) -> Drops {
        self.lock().drops
    }

    pub(super) fn take_repaired(&self) -> Option<Opening> {
        self.lock().repaired.take()
    }

    /// Alarms not yet committed.
    pub(super) fn waiting(&self) -> usize {
        let state = self.lock();
        state.alarms.len() + state.taken
    }

    /// Waits until all that came before is in the journal; whether it was in time.
    pub(super) fn flush(&self, longest: Duration) -> bool {
        let mut state = self.lock();
        state.flushes.0 += 1;
        let own = state.flushes.0;
        self.wake.notify_one();
        let wait = self.done.wait_timeout_while(state, longest, |state| state.flushes.1 < own && !state.ended);
        state = wait.unwrap_or_else(PoisonError::into_inner).0;
        state.flushes.1 >= own
    }

    /// Asks the thread to end; whether it did in time.
    pub(super) fn close(&self, longest: Duration) -> bool {
        let mut state = self.lock();
        state.closing = true;
        self.wake.notify_one();
        let wait = self.done.wait_timeout_while(state, longest, |state| !state.ended);
        wait.unwrap_or_else(PoisonError::into_inner).0.ended
    }
}

/// What is asked of the thread beside its batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) closing: bool,
    /// Number of the last flush asked for.
    pub(super) flush: u64,
    /// More alarms wait than one commit takes.
    pub(super) more: bool,
}

/// What the thread has done.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) still_taken: usize,
    pub(super) image_bytes_done: usize,
    pub(super) trouble: Option<Trouble>,
    pub(super) flushed: Option<u64>,
    pub(super) repaired: Option<Opening>,
    pub(super) ended: bool,
}
