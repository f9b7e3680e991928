//! The thread that reads a source: opens it, fetches images, says when it is lost, waits, and opens it anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::camera::feed::Pace;
use crate::camera::feed::queue::Queue;
use crate::camera::{Camera, CameraError, Tray};
use crate::capture::{Capture, monotonic};

/// Wait before the first reopening; it doubles with each failure up to the longest, and starts over after an image.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// From opening to the first image a source may take this long before it is opened anew, since programs and RTSP cameras
/// need seconds to start; that it is lost is said after its own time-out.
const START: Duration = Duration::from_secs(10);
/// Longest time in one call of the source, so that an end is noticed.
const SLICE: Duration = Duration::from_millis(100);

pub(super) type Open = Box<dyn FnMut() -> Result<Box<dyn Camera>, CameraError> + Send>;

pub(super) struct Reader {
    open: Open,
    tray: Option<Tray>,
    queue: Arc<Queue>,
    wait: Duration,
    /// The instant from which the next image is wanted, when free-running at a rate.
    next_wanted: Duration,
}

impl Reader {
    pub(super) fn new(open: Open, tray: Option<Tray>, queue: Arc<Queue>) -> Self {
        Self { open, tray, queue, wait: FIRST_WAIT, next_wanted: Duration::ZERO }
    }

    pub(super) fn run(mut self) {
        while self.queue.go_on() {
            let outcome = match (self.open)() {
                Ok(camera) => self.watch(camera),
                Err(error) => Some(error),
            };
            let Some(error) = outcome else { return };
            self.queue.lost(error);
            self.queue.pause(self.wait);
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Reads an open source until it is lost; `None` when all ends.
    fn watch(&mut self, mut camera: Box<dyn Camera>) -> Option<CameraError> {
        self.queue.set_camera(camera.name());
        let mut last = Instant::now();
        // Until the first image came.
        let mut starting = true;
        let mut capture = self.queue.spare();
        while self.queue.go_on() {
            if camera.waits() && !self.is_wanted_yet() {
                continue;
            }
            let slice = if camera.waits() { SLICE } else { SLICE.min(self.queue.timeout) };
            match camera.next(slice, &mut capture) {
                Ok(()) => {
                    (last, starting) = (Instant::now(), false);
                    self.works();
                    capture.trigger = None;
                    let next = self.queue.spare();
                    self.hand_over(std::mem::replace(&mut capture, next), camera.waits());
                }
                Err(CameraError::NoImage { .. }) if camera.waits() => self.works(),
                Err(CameraError::NoImage { .. }) => {}
                Err(error) if error.is_of_one_image() => self.queue.damaged(error),
                Err(error) => return Some(error),
            }
            // Damaged images are no images: a source that sends nothing else is lost.
            let waited = last.elapsed();
            if !camera.waits() && waited >= self.queue.timeout {
                let error = CameraError::Silent { camera: camera.name(), waited };
                if !starting || waited >= START {
                    return Some(error);
                }
                self.queue.lost(error);
            }
        }
        None
    }

    fn works(&mut self) {
        self.wait = FIRST_WAIT;
        self.queue.works();
    }

    /// Whether a source whose images wait should be asked: there is room, and the rate allows it.
    fn is_wanted_yet(&self) -> bool {
        let Pace::Free { .. } = self.queue.pace else { return true };
        let early = self.next_wanted.saturating_sub(monotonic());
        if !early.is_zero() {
            self.queue.pause(early.min(SLICE));
            return false;
        }
        self.queue.has_room(SLICE)
    }

    fn hand_over(&mut self, capture: Capture, waits: bool) {
        if let Pace::Free { min_interval } = self.queue.pace {
            // Of an image that waited for its turn, the turn counts.
            let taken = if waits { monotonic() } else { capture.taken.monotonic };
            if taken < self.next_wanted && !waits {
                return self.queue.give_back(capture);
            }
            // By schedule, not from image to image: the mean rate then is the one asked for, whatever the camera's.
            let behind = self.next_wanted.saturating_add(min_interval) < taken;
            self.next_wanted = if behind { taken } else { self.next_wanted }.saturating_add(min_interval);
        }
        if let Some(passed_over) = self.queue.image(capture) {
            if let Some(tray) = &self.tray {
                tray.pass_over(&passed_over);
            }
            self.queue.give_back(passed_over);
        }
    }
}
