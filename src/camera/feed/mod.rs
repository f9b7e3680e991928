//! A source that is read in its own thread: reopened after failures, matched to triggers, handed over through a bounded
//! queue that drops the oldest image and counts it.

mod queue;
mod reader;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::queue::Queue;
use self::reader::Reader;
use crate::camera::{Camera, CameraError, Tray, Wanted, open_with};
use crate::capture::{Capture, Trigger};
use crate::config::Source;

/// Time that the reading thread has to end when the feed is dropped; a thread stuck in a driver is then left behind.
const GRACE: Duration = Duration::from_secs(2);

/// What decides which images are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every image, but on average no more than one in `min_interval`. Files are never skipped: they wait.
    Free {
        /// Zero: every image.
        min_interval: Duration,
    },
    /// For each trigger, in order, the first image taken at or after trigger + `delay`, unless that shows a later part.
    /// Each trigger gets one answer. An image answers one trigger, or all that wait for the very same instant.
    OnTrigger {
        /// From the trigger to the instant that the image must show.
        delay: Duration,
        /// From that instant to the latest at which the image may be taken.
        window: Duration,
        /// From that instant until [`Delivery::NoImageFor`]; it must cover the time that the image takes to come in.
        timeout: Duration,
    },
}

/// How a source is to be read.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Of the station; part of the thread's name.
    pub name: String,
    /// Where images come from.
    pub source: Source,
    /// The size that the recipe needs.
    pub wanted: Wanted,
    /// No image for this long: the source is lost. Does not apply to a folder, where having no file is no failure.
    pub timeout: Duration,
    /// Which images are handed over.
    pub pace: Pace,
    /// Images that wait at most; at least 1.
    pub queue: usize,
}

/// What a feed hands over.
#[derive(Debug)]
pub enum Delivery {
    /// An image.
    Image(Capture),
    /// One image came damaged, or one file was no image; the source goes on. A waiting trigger goes on waiting.
    Damaged(CameraError),
    /// The source was lost; said once for each outage.
    Lost(CameraError),
    /// The source is back.
    Back,
    /// No image can be had for this trigger.
    NoImageFor(Trigger),
}

/// A source being read. Dropped, it ends its thread and closes the source.
pub struct Feed {
    queue: Arc<Queue>,
    tray: Option<Tray>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Starts reading. A source that cannot be opened is no error here: it is lost, and tried again.
    ///
    /// # Errors
    /// [`CameraError::Refused`] where a folder's configuration is wrong, [`CameraError::Lost`] without a thread.
    pub fn start(options: FeedOptions) -> Result<Self, CameraError> {
        let tray = Tray::of(&options.source)?;
        let FeedOptions { name, source, wanted, timeout, pace, queue } = options;
        let opened = tray.clone();
        let open = move || open_with(&source, wanted, opened.as_ref());
        Self::spawn(&name, Box::new(open), tray, Arc::new(Queue::new(pace, timeout, queue)))
    }

    /// As [`Feed::start`], with a source of one's own, opened anew after each outage.
    ///
    /// # Errors
    /// [`CameraError::Lost`] where no thread can be had.
    pub fn with_cameras(
        name: &str,
        open: impl FnMut() -> Result<Box<dyn Camera>, CameraError> + Send + 'static,
        timeout: Duration,
        pace: Pace,
        queue: usize,
    ) -> Result<Self, CameraError> {
        Self::spawn(name, Box::new(open), None, Arc::new(Queue::new(pace, timeout, queue)))
    }

    fn spawn(name: &str, open: reader::Open, tray: Option<Tray>, queue: Arc<Queue>) -> Result<Self, CameraError> {
        let reader = Reader::new(open, tray.clone(), Arc::clone(&queue));
        let thread = thread::Builder::new().name(format!("camera {name}")).spawn(move || reader.run());
        let thread = thread.map_err(|error| CameraError::Lost {
            camera: format!("camera of {name}"),
            reason: format!("no thread to read it ({error}); free memory"),
        })?;
        Ok(Self { queue, tray, thread: Some(thread) })
    }

    /// The next delivery, in order; `None` after the timeout. Also notices triggers that ran out and a source that hangs,
    /// so call it again soon.
    pub fn receive(&self, timeout: Duration) -> Option<Delivery> {
        self.queue.receive(timeout)
    }

    /// Returns an image's memory, to be filled again.
    pub fn give_back(&self, capture: Capture) {
        self.queue.give_back(capture);
    }

    /// Asks for an image. Without effect when free-running.
    pub fn trigger(&self, trigger: Trigger) {
        self.queue.trigger(trigger);
    }

    /// Images that were ready and dropped, because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Images that wait to be received.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Triggers whose answer has not been received.
    pub fn owed(&self) -> usize {
        self.queue.owed()
    }

    /// Moves or deletes the file of a judged image, as configured; nothing for other sources.
    ///
    /// # Errors
    /// [`CameraError::Settle`]; the file stays and is not judged again.
    pub fn settle(&self, capture: &Capture) -> Result<(), CameraError> {
        self.tray.as_ref().map_or(Ok(()), |tray| tray.settle(capture))
    }

    /// Puts the file of an image that cannot be decoded aside, as [`Tray::set_aside`]; `None` for other sources.
    pub fn set_aside(&self, capture: &Capture) -> Option<String> {
        self.tray.as_ref().map(|tray| tray.set_aside(capture))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.queue.stop();
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() >= GRACE {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        _ = thread.join();
    }
}
