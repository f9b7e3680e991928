//! What a station needs before it can begin: a proven shelf, a camera, its trigger; or why it cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use shelfwatch_core::{Decider, DeciderOptions, Drift};

use super::outfit::Outfit;
use super::record::{Recorder, Records};
use super::shown::Card;
use super::station::{Course, Station};
use super::{FaultCode, Faults, Liveness, Sight, Tally};
use crate::alert::gpio::{EdgeInput, EdgeOptions, OutputId, Pulses};
use crate::camera::{Feed, FeedOptions, Pace, Wanted};
use crate::config::{self, Trigger};
use crate::detector::Detector;
use crate::event::{EventFault, EventKind};
use crate::status::Phase;

/// Images that may wait for a station.
const QUEUE: usize = 4;
/// A refused station looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);

/// A station before its thread begins.
pub(super) struct Crew<'a> {
    /// What is shown of it.
    pub(super) card: Card,
    /// Its camera, for triggers that come by message.
    pub(super) feed: Option<Arc<Feed>>,
    options: &'a config::Station,
    shelf: String,
    input: Option<EdgeInput>,
    judges: Option<(Detector<'a>, Decider, Drift)>,
    /// What is wrong from the beginning, until the next generation.
    faults: Vec<(FaultCode, String)>,
}

impl<'a> Crew<'a> {
    /// Opens what the station needs. `no_lines` says why the device's lines could not be had.
    pub(super) fn gather(
        options: &'a config::Station,
        detector: Result<Detector<'a>, String>,
        shelf: String,
        tally: Arc<Tally>,
        no_lines: Option<&str>,
    ) -> Self {
        let card = Card { station: options.name.clone(), shelf: None, product: None, tally };
        let faults = no_lines.map(|why| (FaultCode::GpioLost, why.to_owned())).into_iter().collect();
        let mut crew = Self { card, feed: None, options, shelf, input: None, judges: None, faults };
        if let Err((code, why)) = crew.try_gather(detector) {
            crew.judges = None;
            crew.faults.push((code, why));
        }
        crew
    }

    fn try_gather(&mut self, detector: Result<Detector<'a>, String>) -> Result<(), (FaultCode, String)> {
        let refused = |why: String| (FaultCode::ShelfRefused, why);
        let detector = detector.map_err(refused)?;
        let header = detector.shelf().header();
        let config::Decide { k, n, hold_ms, rearm } = self.options.decide;
        let decider =
            Decider::new(DeciderOptions { k, n, hold_ms, rearm }).map_err(|error| refused(error.to_string()))?;
        let run_length = self.options.drift.run_length;
        let drift = Drift::new(header.review.bound, run_length).map_err(|error| refused(error.to_string()))?;
        self.card.shelf = Some(self.shelf.clone());
        self.card.product = Some(header.product.to_owned()).filter(|product| !product.is_empty());
        let [width, height] = detector.frontend().recipe().size();
        let feed = Feed::start(FeedOptions {
            name: self.options.name.clone(),
            source: self.options.source.clone(),
            wanted: Wanted { width, height },
            timeout: Duration::from_millis(self.options.timeout_ms.into()),
            pace: self.pace(),
            queue: QUEUE,
        });
        let feed = Arc::new(feed.map_err(|error| (FaultCode::CameraLost, error.to_string()))?);
        if let Trigger::Gpio { input, falling, debounce_us, .. } = &self.options.trigger {
            let options = EdgeOptions { falling: *falling, debounce: Duration::from_micros((*debounce_us).into()) };
            let asked = Arc::clone(&feed);
            let opened = EdgeInput::open(input.clone(), options, move |trigger| asked.trigger(trigger));
            self.input = Some(opened.map_err(|error| (FaultCode::GpioLost, error.to_string()))?);
        }
        self.feed = Some(feed);
        self.judges = Some((detector, decider, drift));
        Ok(())
    }

    fn pace(&self) -> Pace {
        let timeout = Duration::from_millis(self.options.timeout_ms.into());
        match self.options.trigger {
            Trigger::Free { rate } => {
                let min_interval = rate
                    .map_or(Duration::ZERO, |rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::ZERO));
                Pace::Free { min_interval }
            }
            Trigger::Gpio { delay_ms, window_ms, .. } | Trigger::Mqtt { delay_ms, window_ms } => {
                let [delay, window] = [delay_ms, window_ms].map(|ms| Duration::from_millis(ms.into()));
                Pace::OnTrigger { delay, window, timeout: timeout.max(window) }
            }
        }
    }

    /// What is missing and may be there later, with the station's name.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (String, EventFault)> {
        self.faults.iter().map(|(code, text)| {
            let fault = EventFault { code: code.name().to_owned(), text: text.clone() };
            (self.options.name.clone(), fault)
        })
    }

    /// Whether messages ask for images.
    pub(super) fn is_asked_by_message(&self) -> bool {
        matches!(self.options.trigger, Trigger::Mqtt { .. })
    }

    /// Judges parts until `stop`, or shows why it cannot.
    pub(super) fn work(
        self,
        index: usize,
        records: Records<'_>,
        outfit: &Outfit,
        liveness: &Liveness,
        clears: &AtomicU64,
        stop: &AtomicBool,
    ) {
        let Self { card, feed, options, shelf, input, judges, faults } = self;
        let (Some((detector, decider, drift)), Some(feed)) = (judges, feed) else {
            let recorder = Recorder::new(records, options, shelf, Vec::new(), [0.0; 2]);
            return rest(&card.tally, &recorder, &faults, || {
                liveness.round(index);
                stop.load(Ordering::Relaxed)
            });
        };
        let header = detector.shelf().header();
        let classes = header.classes().map(str::to_owned).collect();
        let thresholds = [header.reject.threshold, header.review.threshold];
        let outputs: Option<(&Pulses, [Option<OutputId>; 2])> =
            outfit.pulses.as_deref().map(|pulses| (pulses, outfit.outputs[index]));
        let mut station = Station {
            index,
            options,
            feed,
            input,
            detector,
            decider,
            drift,
            sight: Sight::new(options.health.clone()),
            outputs,
            recorder: Recorder::new(records, options, shelf, classes, thresholds),
            tally: card.tally,
            liveness,
            clears,
            faults: Faults::default(),
            course: Course::default(),
        };
        station.run(faults, stop);
    }
}

/// A station that cannot begin: it says why and waits for the next generation.
fn rest(tally: &Tally, recorder: &Recorder<'_>, faults: &[(FaultCode, String)], mut ends: impl FnMut() -> bool) {
    for (code, text) in faults {
        let fault = EventFault { code: code.name().to_owned(), text: text.clone() };
        tracing::error!(code = code.name(), "{text}");
        tally.fault(code.name());
        tally.phase(Phase::Fault, Some(&fault));
        recorder.tell(EventKind::Fault, Some(fault));
    }
    while !ends() {
        thread::sleep(NAP);
    }
}
