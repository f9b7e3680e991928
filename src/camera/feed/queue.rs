//! What lies between the reading thread and the judging one: deliveries in order, triggers that wait, images that may
//! still answer one, and memory to be filled again. Refuses to grow: images beyond the limit are dropped and counted.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::camera::CameraError;
use crate::camera::feed::{Delivery, Pace};
use crate::capture::{Capture, Trigger, monotonic};

/// Images kept for a trigger that is reported late: an edge's own time may lie before an image that is already here.
const RECENT: usize = 4;
/// Triggers that wait at most; the oldest is answered without an image.
const MOST_WAITING: usize = 256;
/// Beyond the source's time-out, the reading thread may be away this long before the source counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(3);

pub(super) struct Queue {
    pub(super) pace: Pace,
    /// No image for this long is an outage.
    pub(super) timeout: Duration,
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    deliveries: VecDeque<Delivery>,
    /// Images among the deliveries, damaged ones included.
    images: usize,
    /// Triggers without an answer, by the instant they ask for.
    waiting: VecDeque<(Duration, Trigger)>,
    recent: VecDeque<Capture>,
    spare: Vec<Capture>,
    dropped: u64,
    lost: bool,
    stopping: bool,
    /// The reading thread was here last.
    seen: Instant,
    camera: String,
}

impl Queue {
    pub(super) fn new(pace: Pace, timeout: Duration, limit: usize) -> Self {
        let limit = limit.max(1);
        let state = State {
            deliveries: VecDeque::with_capacity(limit + 8),
            images: 0,
            waiting: VecDeque::new(),
            recent: VecDeque::with_capacity(RECENT + 1),
            spare: Vec::with_capacity(limit + RECENT + 2),
            dropped: 0,
            lost: false,
            stopping: false,
            seen: Instant::now(),
            camera: "camera".to_owned(),
        };
        Self { pace, timeout, limit, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// No code panics under this lock; should it, the state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn receive(&self, timeout: Duration) -> Option<Delivery> {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            self.expire(&mut state);
            self.look_for_hang(&mut state);
            if let Some(delivery) = state.deliveries.pop_front() {
                if is_image(&delivery) {
                    state.images -= 1;
                    self.changed.notify_all();
                }
                return Some(delivery);
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() || state.stopping {
                return None;
            }
            let due = self.next_expiry(&state).unwrap_or(Duration::MAX);
            state = self.wait(state, left.min(due).min(Duration::from_secs(1)));
        }
    }

    pub(super) fn give_back(&self, capture: Capture) {
        self.lock().keep(capture, self.limit);
    }

    pub(super) fn trigger(&self, trigger: Trigger) {
        let Pace::OnTrigger { delay, .. } = self.pace else { return };
        let due = trigger.at.monotonic.saturating_add(delay);
        let mut state = self.lock();
        if state.lost {
            state.deliveries.push_back(Delivery::NoImageFor(trigger));
        } else {
            let place = state.waiting.partition_point(|(earlier, _)| *earlier <= due);
            state.waiting.insert(place, (due, trigger));
            self.answer(&mut state);
            if state.waiting.len() > MOST_WAITING
                && let Some((_, trigger)) = state.waiting.pop_front()
            {
                state.deliveries.push_back(Delivery::NoImageFor(trigger));
            }
        }
        self.changed.notify_all();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().images
    }

    /// Triggers without an answer, and answers that nobody has received.
    pub(super) fn owed(&self) -> usize {
        let state = self.lock();
        let answers = state.deliveries.iter().filter(|delivery| match delivery {
            Delivery::Image(capture) => capture.trigger.is_some(),
            Delivery::NoImageFor(_) => true,
            Delivery::Damaged(_) | Delivery::Lost(_) | Delivery::Back => false,
        });
        state.waiting.len() + answers.count()
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// For the reading thread, now and then: it is alive, triggers run out, and whether it shall go on.
    pub(super) fn go_on(&self) -> bool {
        let mut state = self.lock();
        state.seen = Instant::now();
        let before = state.deliveries.len();
        self.expire(&mut state);
        if state.deliveries.len() > before {
            self.changed.notify_all();
        }
        !state.stopping
    }

    /// Memory for the next image.
    pub(super) fn spare(&self) -> Capture {
        self.lock().spare.pop().unwrap_or_else(Capture::empty)
    }

    /// Waits until an image has room; `false` after the time, or when all ends.
    pub(super) fn has_room(&self, time: Duration) -> bool {
        let mut state = self.lock();
        if state.images >= self.limit {
            state = self.wait(state, time);
        }
        state.images < self.limit && !state.stopping
    }

    /// Waits, unless all ends.
    pub(super) fn pause(&self, time: Duration) {
        let begun = Instant::now();
        let mut state = self.lock();
        while !state.stopping && begun.elapsed() < time {
            state.seen = Instant::now();
            self.expire(&mut state);
            let left = time.saturating_sub(begun.elapsed());
            state = self.wait(state, left.min(Duration::from_millis(500)));
        }
    }

    /// The name for messages about a source that hangs.
    pub(super) fn set_camera(&self, name: String) {
        self.lock().camera = name;
    }

    /// Hands an image over. Returns one that no trigger asked for, if there is such.
    pub(super) fn image(&self, capture: Capture) -> Option<Capture> {
        let mut state = self.lock();
        let passed_over = if let Pace::Free { .. } = self.pace {
            self.deliver(&mut state, Delivery::Image(capture));
            None
        } else {
            state.recent.push_back(capture);
            self.answer(&mut state);
            if state.recent.len() > RECENT { state.recent.pop_front() } else { None }
        };
        self.changed.notify_all();
        passed_over
    }

    /// One image was damaged.
    pub(super) fn damaged(&self, error: CameraError) {
        self.deliver(&mut self.lock(), Delivery::Damaged(error));
        self.changed.notify_all();
    }

    /// The source is lost: said once, and all who wait are answered.
    pub(super) fn lost(&self, error: CameraError) {
        self.lock().lose(error);
        self.changed.notify_all();
    }

    /// The source works; said once after an outage.
    pub(super) fn works(&self) {
        let mut state = self.lock();
        if state.lost {
            state.lost = false;
            state.deliveries.push_back(Delivery::Back);
            self.changed.notify_all();
        }
    }

    /// Puts an image (or the news of a damaged one) into the queue, dropping the oldest beyond the limit.
    fn deliver(&self, state: &mut State, delivery: Delivery) {
        state.deliveries.push_back(delivery);
        state.images += 1;
        while state.images > self.limit {
            let Some(oldest) = state.deliveries.iter().position(is_image) else { return };
            state.images -= 1;
            if let Delivery::Image(capture) = &state.deliveries[oldest] {
                state.dropped += 1;
                // The trigger of a dropped image still gets its answer, in its place.
                let gone = match capture.trigger {
                    Some(trigger) => {
                        Some(std::mem::replace(&mut state.deliveries[oldest], Delivery::NoImageFor(trigger)))
                    }
                    None => state.deliveries.remove(oldest),
                };
                if let Some(Delivery::Image(capture)) = gone {
                    state.keep(capture, self.limit);
                }
            } else {
                state.deliveries.remove(oldest);
            }
            state.join_outages(oldest);
        }
    }

    /// Gives each waiting trigger, in order, the first image taken at or after its instant. One taken after the window
    /// shows another part: it is left to the triggers behind.
    fn answer(&self, state: &mut State) {
        let Pace::OnTrigger { window, .. } = self.pace else { return };
        while let Some(&(due, trigger)) = state.waiting.front() {
            let Some(at) = state.recent.iter().position(|capture| capture.taken.monotonic >= due) else { return };
            if state.recent[at].taken.monotonic > due.saturating_add(window) {
                state.waiting.pop_front();
                state.deliveries.push_back(Delivery::NoImageFor(trigger));
                continue;
            }
            let Some(mut capture) = state.recent.remove(at) else { return };
            state.waiting.pop_front();
            capture.trigger = Some(trigger);
            // All that wait for the same instant get the same image.
            while let Some(&(same, other)) = state.waiting.front()
                && same == due
            {
                state.waiting.pop_front();
                let copy = Capture { trigger: Some(other), ..capture.clone() };
                self.deliver(state, Delivery::Image(std::mem::replace(&mut capture, copy)));
            }
            self.deliver(state, Delivery::Image(capture));
        }
    }

    /// Answers the triggers whose time has run out.
    fn expire(&self, state: &mut State) {
        while self.next_expiry(state).is_some_and(|left| left.is_zero())
            && let Some((_, trigger)) = state.waiting.pop_front()
        {
            state.deliveries.push_back(Delivery::NoImageFor(trigger));
        }
    }

    /// Time until the first trigger runs out.
    fn next_expiry(&self, state: &State) -> Option<Duration> {
        let Pace::OnTrigger { timeout, .. } = self.pace else { return None };
        let (due, _) = state.waiting.front()?;
        Some(due.saturating_add(timeout).saturating_sub(monotonic()))
    }

    /// A thread that does not come back from the system is noticed by the one that waits for it.
    fn look_for_hang(&self, state: &mut State) {
        let waited = state.seen.elapsed();
        if !state.lost && waited > self.timeout.saturating_add(HUNG_AFTER) {
            let camera = state.camera.clone();
            state.lose(CameraError::Hung { camera, waited });
        }
    }
}

impl State {
    /// Notes an outage and answers all who wait.
    fn lose(&mut self, error: CameraError) {
        if !self.lost {
            self.lost = true;
            self.deliveries.push_back(Delivery::Lost(error));
            self.join_outages(self.deliveries.len() - 1);
        }
        while let Some((_, trigger)) = self.waiting.pop_front() {
            self.deliveries.push_back(Delivery::NoImageFor(trigger));
        }
    }

    /// Makes one outage of two with nothing left between them, so that a receiver that stalls for long finds few.
    fn join_outages(&mut self, at: usize) {
        let back = at.checked_sub(1).filter(|&back| matches!(self.deliveries.get(back), Some(Delivery::Back)));
        if let Some(back) = back.filter(|_| matches!(self.deliveries.get(at), Some(Delivery::Lost(_)))) {
            self.deliveries.drain(back..=at);
        }
    }

    /// Keeps the memory, unless there is enough of it.
    fn keep(&mut self, mut capture: Capture, limit: usize) {
        if self.spare.len() < limit + RECENT + 2 {
            capture.trigger = None;
            self.spare.push(capture);
        }
    }
}

fn is_image(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Image(_) | Delivery::Damaged(_))
}
