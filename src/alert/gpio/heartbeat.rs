//! RUN-OK: a line that toggles only while the station keeps allowing it. Silence means stop.

use std::fmt::Display;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use embedded_hal::digital::OutputPin;

use super::error::GpioError;
use super::output::{Output, OutputLine};
use super::shared::Shared;
use crate::config::RunOk;

/// How often the resting line is written: so a lost chip is noticed.
const REFRESH: Duration = Duration::from_secs(1);

/// What the heartbeat does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The line toggles.
    Beating,
    /// The station stopped it, or has not yet allowed it, for this reason.
    Stopped(String),
    /// The station has not renewed its allowance: it hangs.
    Overdue,
}

/// The RUN-OK output as a watchdog over the station.
///
/// The line changes every period while the station's last [`allow`](Self::allow) has not run out, and is inactive
/// otherwise. It is the station that must renew the allowance, from the place where it makes progress: what hangs,
/// hangs without a pulse. The last edge comes no later than the end of the allowance.
#[derive(Debug)]
pub struct Heartbeat {
    shared: Arc<Shared<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    until: Option<Instant>,
    reason: String,
    failing: bool,
    end: bool,
}

impl Heartbeat {
    /// Requests the configured line and rests.
    ///
    /// # Errors
    /// [`GpioError`] when the line is not found, in use or refused.
    pub fn open(run_ok: &RunOk) -> Result<Self, GpioError> {
        Self::new(Output::<OutputLine>::open_run_ok(run_ok)?, Duration::from_millis(run_ok.period_ms.into()))
    }

    /// Makes the line inactive and starts the thread, which rests until the first allowance. The line changes every
    /// `period`, at least a millisecond.
    ///
    /// # Errors
    /// [`GpioError::Lost`] when the line cannot be made inactive, [`GpioError::Thread`] when there is no thread.
    pub fn new<P>(mut output: Output<P>, period: Duration) -> Result<Self, GpioError>
    where
        P: OutputPin<Error: Display> + Send + 'static,
    {
        output.set(false)?;
        let reason = "the station has not begun".to_owned();
        let shared = Arc::new(Shared::new(State { until: None, reason, failing: false, end: false }));
        let thread = std::thread::Builder::new().name("run-ok".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, &mut output, period.max(Duration::from_millis(1)))
        });
        let thread = thread.map_err(|error| GpioError::Thread(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Lets the line toggle until then, whatever was allowed before.
    pub fn allow(&self, until: Instant) {
        self.shared.lock().until = Some(until);
        self.shared.changed.notify_all();
    }

    /// Ends the allowance at once; the next one begins anew.
    pub fn stop(&self, reason: &str) {
        let mut state = self.shared.lock();
        state.until = None;
        if state.reason != reason {
            reason.clone_into(&mut state.reason);
        }
        self.shared.changed.notify_all();
    }

    /// What the heartbeat does now.
    pub fn state(&self) -> Beat {
        let state = self.shared.lock();
        match state.until {
            Some(until) if until > Instant::now() => Beat::Beating,
            Some(_) => Beat::Overdue,
            None => Beat::Stopped(state.reason.clone()),
        }
    }

    /// The first error since the last call.
    pub fn take_error(&self) -> Option<GpioError> {
        self.shared.errors.take()
    }

    /// Whether the last write of the line failed.
    pub fn is_failing(&self) -> bool {
        self.shared.lock().failing || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.shared.lock().end = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its line, which makes it an input.
            let _ = thread.join();
        }
    }
}

fn run<P: OutputPin<Error: Display>>(shared: &Shared<State>, output: &mut Output<P>, period: Duration) {
    let mut active = false;
    // When the line is next written: the next toggle while it beats, the next refresh while it rests.
    let mut next = Instant::now() + REFRESH;
    let mut beats = false;
    let mut state = shared.lock();
    while !state.end {
        let now = Instant::now();
        let until = state.until.filter(|until| *until > now);
        if until.is_some() != beats {
            (beats, next) = (until.is_some(), now);
        }
        if next > now {
            let wake = until.map_or(next, |until| next.min(until));
            state = shared.changed.wait_timeout(state, wake - now).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        drop(state);
        active = beats && !active;
        let pause = if beats { period } else { REFRESH };
        // A beat that comes more than a period late is not made up for: the watchdog outside would see a burst.
        next = if now < next + pause { next + pause } else { now + pause };
        let written = output.set(active);
        state = shared.lock();
        state.failing = written.is_err();
        if let Err(error) = written {
            shared.errors.put(error);
        }
    }
    drop(state);
    if let Err(error) = output.set(false) {
        shared.errors.put(error);
    }
}
