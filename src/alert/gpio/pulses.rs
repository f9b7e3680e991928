//! Pulses outputs at absolute times from a thread of its own, several pulses in flight. Leaves every output inactive.

use std::fmt::Display;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use embedded_hal::digital::OutputPin;

use super::error::GpioError;
use super::output::Output;
use super::plan::{Change, OutputId, Plan, PulseCounts, PulseShape, Scheduled};
use super::shared::Shared;
use crate::capture::monotonic;

/// How long after a failed write the level is written again.
const RETRY: Duration = Duration::from_millis(20);
/// How often the levels are written though nothing changes: so a lost chip is noticed before the next reject.
const REFRESH: Duration = Duration::from_secs(1);

/// The scheduler of all pulsed outputs.
///
/// A pulse begins at its trigger's time plus the output's delay and lasts at least its width, counted from when the
/// output is active. Pulses of one output that overlap or touch keep it active until the last one ends: the ejector then
/// sees one longer pulse for several parts, which [`PulseCounts::merged`] counts. An output without a width stays
/// active until [`clear`](Self::clear). Stopping and dropping make every output inactive and forget what waits; call
/// [`drain`](Self::drain) before, or a part that was judged bad passes the ejector.
///
/// A write that fails is reported by [`take_error`](Self::take_error) and repeated until it succeeds.
#[derive(Debug)]
pub struct Pulses {
    shared: Arc<Shared<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    failing: bool,
    stop: bool,
}

impl Pulses {
    /// Makes the outputs inactive and starts the thread. The [`OutputId`] of an output is its place in the list.
    ///
    /// # Errors
    /// [`GpioError::Lost`] when an output cannot be made inactive, [`GpioError::Thread`] when there is no thread.
    pub fn new<P>(outputs: Vec<(Output<P>, PulseShape)>) -> Result<Self, GpioError>
    where
        P: OutputPin<Error: Display> + Send + 'static,
    {
        let plan = Plan::new(outputs.iter().map(|(output, shape)| (output.name.clone(), *shape)));
        let mut levels: Vec<Level<P>> = outputs.into_iter().map(|(output, _)| Level::inactive(output)).collect();
        for level in &mut levels {
            level.output.set(false)?;
            level.failed = None;
        }
        let shared = Arc::new(Shared::new(State { plan, failing: false, stop: false }));
        let thread = std::thread::Builder::new().name("pulses".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, &mut levels)
        });
        let thread = thread.map_err(|error| GpioError::Thread(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for a pulse for the part whose trigger (or image) came at `from`, on `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    /// [`GpioError::Full`] when too many pulses wait, [`GpioError::Ended`] when the thread is gone: faults, for the part
    /// will pass.
    pub fn schedule(&self, output: OutputId, from: Duration) -> Result<Scheduled, GpioError> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(GpioError::Ended);
        }
        let scheduled = self.shared.lock().plan.schedule(output, from, monotonic());
        self.shared.changed.notify_all();
        scheduled
    }

    /// Lets go of outputs that are held; pulses with a width, and those that have not begun, go on.
    pub fn clear(&self) {
        self.shared.lock().plan.clear();
        self.shared.changed.notify_all();
    }

    /// Waits until no pulse waits or runs, at most so long. Held outputs are not waited for.
    pub fn drain(&self, most: Duration) -> bool {
        let busy = |state: &mut State| state.plan.in_flight() > 0 && !state.stop;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), most, busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.plan.in_flight() == 0
    }

    /// Time until the last pulse that waits or runs is over; held outputs are not waited for.
    pub fn time_left(&self) -> Duration {
        self.shared.lock().plan.last().unwrap_or_default().saturating_sub(monotonic())
    }

    /// The first error since the last call.
    pub fn take_error(&self) -> Option<GpioError> {
        self.shared.errors.take()
    }

    /// Failed writes since the start.
    pub fn errors(&self) -> u64 {
        self.shared.errors.count()
    }

    /// Whether an output does not have the level it should have, because writing fails.
    pub fn is_failing(&self) -> bool {
        self.shared.lock().failing || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Outputs that wait for [`clear`](Self::clear).
    pub fn held(&self) -> usize {
        self.shared.lock().plan.held()
    }

    /// Pulses that wait or run.
    pub fn in_flight(&self) -> usize {
        self.shared.lock().plan.in_flight()
    }

    /// What happened since the start.
    pub fn counts(&self) -> PulseCounts {
        self.shared.lock().plan.counts
    }

    /// Makes every output inactive at once and ends. Pulses that wait are forgotten.
    pub fn stop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its lines, which makes them inputs.
            let _ = thread.join();
        }
    }
}

impl Drop for Pulses {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An output with the level it should have.
struct Level<P> {
    output: Output<P>,
    active: bool,
    /// When the pulse that makes it active was due, until it is active.
    begins: Option<Duration>,
    /// When writing failed; `None` where the output has its level.
    failed: Option<Duration>,
}

impl<P> Level<P> {
    fn inactive(output: Output<P>) -> Self {
        Self { output, active: false, begins: None, failed: Some(Duration::ZERO) }
    }
}

fn run<P: OutputPin<Error: Display>>(shared: &Shared<State>, levels: &mut [Level<P>]) {
    let mut refreshed = monotonic();
    let mut state = shared.lock();
    while !state.stop {
        let now = monotonic();
        let again = levels.iter().position(|level| level.failed.is_some_and(|failed| now >= failed + RETRY));
        if let Some(Change { output, active, due }) = state.plan.step(now) {
            levels[output].active = active;
            levels[output].begins = active.then_some(due);
            state = write(shared, state, levels, output);
        } else if let Some(output) = again {
            state = write(shared, state, levels, output);
        } else if now >= refreshed + REFRESH {
            refreshed = now;
            for output in 0..levels.len() {
                state = write(shared, state, levels, output);
            }
        } else {
            let retries = levels.iter().filter_map(|level| level.failed.map(|failed| failed + RETRY));
            let next = retries.chain(state.plan.next()).fold(refreshed + REFRESH, Duration::min);
            let waited = shared.changed.wait_timeout(state, next.saturating_sub(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    drop(state);
    for level in levels {
        if let Err(error) = level.output.set(false) {
            shared.errors.put(error);
        }
    }
}

/// Writes an output's level; the plan is free meanwhile, for a chip behind a bus takes its time.
fn write<'a, P: OutputPin<Error: Display>>(
    shared: &'a Shared<State>,
    state: MutexGuard<'a, State>,
    levels: &mut [Level<P>],
    output: usize,
) -> MutexGuard<'a, State> {
    drop(state);
    let level = &mut levels[output];
    let written = level.output.set(level.active);
    let now = monotonic();
    level.failed = written.is_err().then_some(now);
    let begins = level.begins.take_if(|_| written.is_ok());
    if let Err(error) = written {
        shared.errors.put(error);
    }
    let mut state = shared.lock();
    if let Some(due) = begins {
        state.plan.began(output, due, now);
    }
    state.failing = levels.iter().any(|level| level.failed.is_some());
    shared.changed.notify_all();
    state
}
