//! Input lines by edge: the part trigger and the button that clears. A chip that goes is reported and opened again.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias as LineBias, EdgeDetection, EdgeKind, EventClock, Value};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::CONSUMER;
use super::edges::{Edge, EdgeFilter};
use super::error::{ErrorSlot, GpioError};
use super::lines::words;
use super::output::find_free;
use crate::capture::{Moment, Trigger, monotonic};
use crate::config::{Bias, Line};

/// The longest sleep, after which the thread looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);
/// For edges that the kernel has stamped and not yet handed over; its thread was seen to be 17 ms late on a busy machine.
const GRACE: Duration = Duration::from_millis(100);
/// How often the line is read though nothing happens: so a lost chip is noticed.
const CHECK: Duration = Duration::from_secs(1);
/// Edges that the kernel keeps for us; the most it grants.
const KERNEL_EDGES: u32 = 1024;
/// Edges read at a time.
const EDGES: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which edges count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeOptions {
    /// The edge from active to inactive counts, instead of the other.
    pub falling: bool,
    /// A level counts when it has lasted so long; zero counts each edge.
    pub debounce: Duration,
}

impl Default for EdgeOptions {
    /// From inactive to active, debounced by 10 ms: a button.
    fn default() -> Self {
        Self { falling: false, debounce: Duration::from_millis(10) }
    }
}

/// An input whose edges are handed on with their numbers and the kernel's times. Dropped, it still hands on those that
/// came before, also where a level has yet to settle.
#[derive(Debug)]
pub struct EdgeInput {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    end: AtomicBool,
    lost: AtomicBool,
    errors: ErrorSlot,
}

impl EdgeInput {
    /// Requests the line and hands each edge that counts to `deliver`, from a thread of its own: it must not block.
    /// Numbers count from 1, and on when the line was lost and is back.
    ///
    /// # Errors
    /// [`GpioError`] when the line is not found, in use or refused.
    pub fn open<F>(line: Line, options: EdgeOptions, mut deliver: F) -> Result<Self, GpioError>
    where
        F: FnMut(Trigger) + Send + 'static,
    {
        let first = Filtered::open(&line, options)?;
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("input".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, &line, options, first, &mut deliver)
        });
        let thread = thread.map_err(|error| GpioError::Thread(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The first error since the last call.
    pub fn take_error(&self) -> Option<GpioError> {
        self.shared.errors.take()
    }

    /// Whether the line is lost and not yet back.
    pub fn is_failing(&self) -> bool {
        self.shared.lost.load(Ordering::Acquire) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for EdgeInput {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has dropped its line.
            let _ = thread.join();
        }
    }
}

/// A requested input with room for what is read of it.
#[derive(Debug)]
pub(super) struct Watched {
    request: Request,
    name: String,
    buffer: Vec<u64>,
    checked: Duration,
}

impl Watched {
    pub(super) fn open(line: &Line, edges: EdgeDetection) -> Result<Self, GpioError> {
        let found = find_free(line)?;
        let mut builder = Request::builder();
        builder.on_chip(&found.chip).with_line(found.offset).with_consumer(CONSUMER).as_input();
        if line.active_low {
            builder.as_active_low();
        }
        builder.with_bias(line.bias.map(|bias| match bias {
            Bias::PullUp => LineBias::PullUp,
            Bias::PullDown => LineBias::PullDown,
            Bias::Disabled => LineBias::Disabled,
        }));
        builder.with_edge_detection(edges).with_event_clock(EventClock::Monotonic);
        let request = builder.with_kernel_event_buffer_size(KERNEL_EDGES).request();
        let request =
            request.map_err(|error| GpioError::Refused { line: found.to_string(), reason: error.to_string() })?;
        let buffer = vec![0; EDGES * request.edge_event_u64_size()];
        Ok(Self { request, name: found.to_string(), buffer, checked: monotonic() })
    }

    /// Whether the line is active now.
    pub(super) fn level(&self) -> Result<bool, GpioError> {
        self.request.lone_value().map(|value| value == Value::Active).map_err(|error| self.lost(error.to_string()))
    }

    /// Hands on the edges that are there, or that come within that time. False when there were none.
    pub(super) fn edges(&mut self, most: Duration, each: &mut dyn FnMut(Edge)) -> Result<bool, GpioError> {
        if !self.waits(most)? {
            let now = monotonic();
            if now >= self.checked + CHECK {
                self.checked = now;
                self.level()?;
            }
            return Ok(false);
        }
        let read = self.request.read_edge_events_into_slice(&mut self.buffer);
        let words = read.map_err(|error| self.lost(error.to_string()))?;
        let read = monotonic();
        for event in self.buffer[..words].chunks_exact(self.request.edge_event_u64_size()) {
            let event = self.request.edge_event_from_slice(event).map_err(|error| self.lost(error.to_string()))?;
            let at = Duration::from_nanos(event.timestamp_ns);
            each(Edge { at, active: event.kind == EdgeKind::Rising, sequence: event.line_seqno, read });
        }
        Ok(true)
    }

    /// Whether there is an edge to read, now or within that time.
    fn waits(&self, most: Duration) -> Result<bool, GpioError> {
        let timeout = Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: most.subsec_nanos().into() };
        let mut fds = [PollFd::from_borrowed_fd(self.request.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => Ok(false),
            Ok(_) if fds[0].revents().contains(PollFlags::IN) => Ok(true),
            Ok(_) => Err(self.lost("the chip is gone".to_owned())),
            // A signal says nothing of the line.
            Err(Errno::INTR) => self.waits(Duration::ZERO),
            Err(error) => Err(self.lost(error.to_string())),
        }
    }

    fn lost(&self, reason: String) -> GpioError {
        GpioError::Lost { line: self.name.clone(), reason }
    }
}

/// A watched input whose edges are debounced.
#[derive(Debug)]
struct Filtered {
    input: Watched,
    filter: EdgeFilter,
}

impl Filtered {
    fn open(line: &Line, options: EdgeOptions) -> Result<Self, GpioError> {
        // With both edges asked for, the kernel says the level that it reads after the edge; with one, which it was.
        let edges = match options {
            EdgeOptions { debounce: Duration::ZERO, falling: false } => EdgeDetection::RisingEdge,
            EdgeOptions { debounce: Duration::ZERO, falling: true } => EdgeDetection::FallingEdge,
            EdgeOptions { .. } => EdgeDetection::BothEdges,
        };
        let input = Watched::open(line, edges)?;
        let filter = EdgeFilter::new(options.debounce, !options.falling, input.level()?);
        Ok(Self { input, filter })
    }

    /// Waits for edges, at most so long, and tells each change that counts by its time. False when no edge came.
    fn watch(&mut self, most: Duration, tell: &mut dyn FnMut(Duration)) -> Result<bool, GpioError> {
        let Self { input, filter } = self;
        let wait = filter.deadline().map_or(most, |deadline| most.min(deadline.saturating_sub(monotonic())));
        let came = input.edges(wait, &mut |edge| filter.edge(edge).into_iter().for_each(&mut *tell))?;
        if !came {
            filter.settle(monotonic()).into_iter().for_each(tell);
        }
        Ok(came)
    }

    /// Tells the changes that came so far: edges that nobody has read yet, or that a busy kernel has yet to hand over, and a
    /// level that has yet to settle.
    fn finish(&mut self, debounce: Duration, tell: &mut dyn FnMut(Duration)) -> Result<(), GpioError> {
        let earliest = monotonic() + GRACE;
        // A contact that bounces for ever does not hold up the end.
        let latest = earliest + 2 * debounce;
        loop {
            let most = if self.filter.deadline().is_some() { NAP } else { earliest.saturating_sub(monotonic()) };
            let came = self.watch(most, tell)?;
            let now = monotonic();
            if now >= latest || (now >= earliest && !came && self.filter.deadline().is_none()) {
                return Ok(());
            }
        }
    }

    /// The error on edges that the kernel had no room for, where there were any.
    fn missing(&mut self) -> Option<GpioError> {
        let count = self.filter.take_lost();
        (count > 0).then(|| GpioError::EdgesLost { line: self.input.name.clone(), count })
    }
}

fn run(shared: &Shared, line: &Line, options: EdgeOptions, first: Filtered, deliver: &mut dyn FnMut(Trigger)) {
    let mut number = 0;
    let mut tell = |at| {
        number += 1;
        deliver(Trigger { number, at: Moment::at(at) });
    };
    let mut input = Some(first);
    let mut pause = FIRST_PAUSE;
    while !shared.end.load(Ordering::Acquire) {
        let result = match &mut input {
            Some(input) => {
                let watched = input.watch(NAP, &mut tell).map(drop);
                input.missing().into_iter().for_each(|error| shared.errors.put(error));
                watched
            }
            None => Filtered::open(line, options).map(|back| input = Some(back)),
        };
        shared.lost.store(result.is_err(), Ordering::Release);
        let Err(error) = result else {
            pause = FIRST_PAUSE;
            continue;
        };
        // What cannot be opened again is one lost line, whatever the reason is at the moment.
        shared.errors.put(match error {
            error @ GpioError::Lost { .. } => error,
            error => GpioError::Lost { line: words(line), reason: error.to_string() },
        });
        rest(shared, pause);
        if input.take().is_none() {
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    if let Some(Err(error)) = input.as_mut().map(|input| input.finish(options.debounce, &mut tell)) {
        shared.errors.put(error);
    }
}

/// Sleeps, but not beyond the end.
fn rest(shared: &Shared, pause: Duration) {
    let until = monotonic() + pause;
    while monotonic() < until && !shared.end.load(Ordering::Acquire) {
        std::thread::sleep(until.saturating_sub(monotonic()).min(NAP));
    }
}
