//! One station: from an image to a verdict, to the pins, to the record. An error anywhere on the way is a fault, never
//! a pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shelfwatch_core::{Decider, Drift, Judgement, Verdict};

use crate::alert::gpio::{EdgeInput, GpioError, OutputId, Pulses, Scheduled};
use crate::camera::{Delivery, Feed};
use crate::capture::{Capture, Moment, Trigger, monotonic};
use crate::config;
use crate::detector::{Detector, DetectorError, Reading};
use crate::device::record::{Judged, Recorder};
use crate::device::{FaultCode, Faults, Liveness, Quiet, Sight, Tally};
use crate::event::{EventFault, EventKind};
use crate::intake;
use crate::status::Phase;

/// Longest wait for an image before the station looks after the rest.
const TURN: Duration = Duration::from_millis(100);
/// Longest wait of one turn besides the deadline, for which a station vouches.
const GRACE: Duration = Duration::from_millis(500);

/// What a station has in its hands.
pub(super) struct Station<'a> {
    /// Its place in [`Liveness`].
    pub(super) index: usize,
    /// Its configuration.
    pub(super) options: &'a config::Station,
    /// The camera.
    pub(super) feed: Arc<Feed>,
    /// The trigger input, where there is one.
    pub(super) input: Option<EdgeInput>,
    /// The shelf and its backbone.
    pub(super) detector: Detector<'a>,
    /// From readings to verdicts.
    pub(super) decider: Decider,
    /// The drift detector.
    pub(super) drift: Drift,
    /// Whether images show anything.
    pub(super) sight: Sight,
    /// The outputs and which of them are this station's: reject and review.
    pub(super) outputs: Option<(&'a Pulses, [Option<OutputId>; 2])>,
    /// The records.
    pub(super) recorder: Recorder<'a>,
    /// Numbers for metrics and messages.
    pub(super) tally: Arc<Tally>,
    /// Until when the station may be believed.
    pub(super) liveness: &'a Liveness,
    /// Grows when somebody clears outputs and faults.
    pub(super) clears: &'a AtomicU64,
    /// What is wrong.
    pub(super) faults: Faults,
    /// Everything that changes as parts go by.
    pub(super) course: Course,
}

/// What changes as parts go by.
#[derive(Debug, Default)]
pub(super) struct Course {
    part: u64,
    cleared: u64,
    late_holds: bool,
    /// Images that the camera's queue had dropped when they were last counted.
    dropped: u64,
    lasting: Vec<FaultCode>,
    pixels: Vec<u8>,
    quiet: Quiet,
}

/// Why an image could not be judged.
struct Unjudged(FaultCode, String);

impl Station<'_> {
    /// Judges parts until `stop`. `lasting` are faults that nothing in this generation ends.
    pub(super) fn run(&mut self, lasting: Vec<(FaultCode, String)>, stop: &AtomicBool) {
        self.recorder.tell(EventKind::Started, None);
        for (code, text) in lasting {
            self.course.lasting.push(code);
            self.raise(code, || text);
        }
        while !stop.load(Ordering::Relaxed) {
            self.attend();
        }
        self.finish();
        self.liveness.withdraw(self.index);
        self.tally.phase(Phase::Stopped, None);
        self.recorder.tell(EventKind::Stopped, None);
    }

    /// What comes next, and what does not come by itself.
    fn attend(&mut self) {
        match self.feed.receive(TURN) {
            None => {}
            Some(Delivery::Image(capture)) => self.part(capture),
            Some(Delivery::Damaged(error)) => self.raise(FaultCode::ImageDamaged, || error.to_string()),
            Some(Delivery::NoImageFor(trigger)) => self.unseen(trigger),
            Some(Delivery::Lost(error)) => self.raise(FaultCode::CameraLost, || error.to_string()),
            Some(Delivery::Back) => self.end(FaultCode::CameraLost),
        }
        self.look_after();
    }

    /// Parts whose trigger came before the end was asked for are judged and signalled, as long as a deadline lasts.
    fn finish(&mut self) {
        self.input = None;
        let (begun, deadline) = (Instant::now(), Duration::from_millis(u64::from(self.options.deadline_ms)));
        while self.feed.owed() > 0 && begun.elapsed() < deadline {
            self.attend();
        }
    }

    /// One image: judge, decide, note, signal, record.
    fn part(&mut self, mut capture: Capture) {
        let judged = self.judge(&capture);
        let (reading, unjudged) = match judged {
            Ok(reading) => (Some(reading), None),
            Err(unjudged) => (None, Some(unjudged)),
        };
        let damaged = matches!(unjudged, Some(Unjudged(FaultCode::ImageDamaged, _)));
        let asked = capture.trigger.map_or(capture.taken, |trigger| trigger.at);
        let judged = self.number(asked, reading);
        let verdict = self.signal(&judged, asked, capture.trigger.is_some(), unjudged, Some(&mut capture));
        if verdict == Verdict::Pass {
            self.recorder.pass(&judged, &mut capture);
        }
        self.settle(&capture, damaged);
        self.feed.give_back(capture);
    }

    /// A file that was judged goes where it belongs, one that cannot be read aside.
    fn settle(&mut self, capture: &Capture, damaged: bool) {
        if damaged {
            let _where_it_is_now = self.feed.set_aside(capture);
        } else if let Err(error) = self.feed.settle(capture) {
            self.raise(FaultCode::FileNotSettled, || error.to_string());
        } else {
            self.end(FaultCode::FileNotSettled);
        }
    }

    /// A part that no image was taken of.
    fn unseen(&mut self, trigger: Trigger) {
        let judged = self.number(trigger.at, None);
        let text =
            "a trigger came and no image was taken in its window; check the camera, its rate, delay_ms and window_ms";
        self.signal(&judged, trigger.at, true, Some(Unjudged(FaultCode::NoImage, text.to_owned())), None);
    }

    fn judge(&mut self, capture: &Capture) -> Result<Reading, Unjudged> {
        let pixels = std::mem::take(&mut self.course.pixels);
        let frame = intake::capture(capture, self.options.roi, self.detector.frontend().recipe(), pixels)
            .map_err(|error| Unjudged(FaultCode::ImageDamaged, error.to_string()))?;
        let seen = match self.sight.fault(&capture.bytes, &frame) {
            Some((code, text)) => Err(Unjudged(code, text)),
            None => self.detector.read(&frame).map_err(|error| Unjudged(code_of(&error), error.to_string())),
        };
        self.course.pixels = frame.into_rgb();
        seen
    }

    fn number(&mut self, asked: Moment, reading: Option<Reading>) -> Judged {
        self.course.part += 1;
        let latency = monotonic().saturating_sub(asked.monotonic);
        Judged { part: self.course.part, time: asked.wall, reading, latency_ms: latency.as_secs_f64() * 1000.0 }
    }

    /// From the reading to the pins and the record. A part that was asked for and not judged is signalled as a bad one:
    /// nobody knows that it is good.
    fn signal(
        &mut self,
        judged: &Judged,
        asked: Moment,
        triggered: bool,
        unjudged: Option<Unjudged>,
        capture: Option<&mut Capture>,
    ) -> Verdict {
        let judgement = judged.reading.map(|reading| reading.judgement);
        let decision = self.decider.decide(judgement, asked.monotonic.as_millis() as u64);
        let verdict = decision.verdict;
        let pulse = decision.signal || (verdict == Verdict::Fault && triggered);
        let kind = match verdict {
            Verdict::Reject if pulse => Some(EventKind::Reject),
            // While drift lasts, it explains these: one alarm for all of them, told when it began.
            Verdict::Review if !self.faults.has(FaultCode::Drift) => Some(EventKind::Review),
            Verdict::Fault if pulse => Some(EventKind::Fault),
            Verdict::Pass | Verdict::Review | Verdict::Reject | Verdict::Fault => None,
        };
        let cause = unjudged
            .as_ref()
            .map(|Unjudged(code, text)| EventFault { code: code.name().to_owned(), text: text.clone() });
        let alarm = kind.map(|kind| self.recorder.alarm(kind, judged, pulse, cause));
        let slot = alarm.as_ref().map(|event| self.recorder.note(event));
        let late = self.pulse(pulse, verdict == Verdict::Review, asked);
        if let Some(Err(error)) = &slot {
            self.raise(FaultCode::AlarmsLost, || error.to_string());
        }
        if let Some(event) = alarm
            && !self.recorder.keep(event, slot.and_then(Result::ok), capture)
        {
            self.raise(FaultCode::AlarmsLost, || {
                "the journal takes no more alarms; see why it does not write".to_owned()
            });
        }
        let score = judged.reading.map(|reading| reading.score);
        self.tally.verdict(verdict, score, judged.latency_ms, late);
        self.after(judged, judgement, late, unjudged);
        verdict
    }

    /// Schedules the pulses. True where the reject pulse came too late.
    fn pulse(&mut self, reject: bool, review: bool, asked: Moment) -> bool {
        let Some((pulses, [reject_line, review_line])) = self.outputs else { return false };
        let mut late = false;
        for (line, wanted) in [(reject_line, reject), (review_line, review)] {
            let Some(line) = line.filter(|_| wanted) else { continue };
            match pulses.schedule(line, asked.monotonic) {
                Ok(Scheduled::At(_)) => {}
                Ok(Scheduled::Late { by, fired }) => {
                    late = true;
                    self.course.late_holds |= !fired;
                    self.raise(FaultCode::LateResult, || {
                        let what = if fired { "the pulse came late" } else { "no pulse was given" };
                        format!(
                            "the verdict came {} ms after the pulse was due, {what}; set a longer delay",
                            by.as_millis()
                        )
                    });
                }
                Err(error) => self.raise(FaultCode::GpioLost, || error.to_string()),
            }
        }
        late
    }

    /// Faults that this part began or ended.
    fn after(&mut self, judged: &Judged, judgement: Option<Judgement>, late: bool, unjudged: Option<Unjudged>) {
        if let Some(Unjudged(code, text)) = unjudged {
            return self.raise(code, || text);
        }
        let deadline = f64::from(self.options.deadline_ms);
        let missed = judged.latency_ms > deadline;
        if missed {
            let ms = judged.latency_ms;
            let text =
                || format!("a verdict took {ms:.0} ms of {deadline:.0} ms; use a faster device or smaller backbone");
            self.raise(FaultCode::DeadlineMissed, text);
        }
        for code in FaultCode::ALL {
            if code.ends_with_a_good_image() && !(missed && code == FaultCode::DeadlineMissed) {
                self.end(code);
            }
        }
        if !late && !self.course.late_holds && judgement == Some(Judgement::Reject) {
            self.end(FaultCode::LateResult);
        }
        let alarm = judgement.is_some_and(|judgement| judgement != Judgement::Pass);
        if self.drift.observe(alarm) {
            self.raise(FaultCode::Drift, || {
                "unfamiliar parts have become more frequent for good; look at product, light and camera, then clear it"
                    .to_owned()
            });
        }
    }

    /// What does not come with an image: outputs, journal, clearing, and who may believe this station.
    fn look_after(&mut self) {
        let cleared = self.clears.load(Ordering::Relaxed);
        if cleared != self.course.cleared {
            self.course.cleared = cleared;
            self.clear();
        }
        if self.options.reject.is_some() && !matches!(self.options.trigger, config::Trigger::Free { .. }) {
            self.faults.end_forgotten(Instant::now());
        }
        self.look_after_lines();
        let trouble = self.recorder.trouble();
        for code in [FaultCode::DiskFull, FaultCode::JournalFailed] {
            match &trouble {
                Some(trouble) if trouble.code == code.name() => self.raise(code, || trouble.text.clone()),
                _ => self.end(code),
            }
        }
        // Not at the first free place, or the fault would begin anew with the next alarm.
        if trouble.is_none() && self.recorder.has_room() {
            self.end(FaultCode::AlarmsLost);
        }
        self.tell_what_is_over();
        let dropped = self.feed.dropped();
        self.tally.queue(dropped - self.course.dropped, self.feed.waiting() as u64);
        self.course.dropped = dropped;
        let runs = self.lets_run();
        self.tally.phase(if runs { Phase::Ready } else { Phase::Fault }, self.faults.worst());
        self.liveness.round(self.index);
        if runs {
            let deadline = Duration::from_millis(u64::from(self.options.deadline_ms));
            self.liveness.vouch(self.index, deadline + GRACE);
        } else {
            self.liveness.withdraw(self.index);
        }
    }

    fn look_after_lines(&mut self) {
        let of_input = self.input.as_ref().and_then(EdgeInput::take_error);
        let of_outputs = self.outputs.and_then(|(pulses, _)| pulses.take_error());
        for error in of_input.into_iter().chain(of_outputs) {
            let code = match error {
                GpioError::EdgesLost { .. } => FaultCode::TriggerLost,
                _ => FaultCode::GpioLost,
            };
            self.raise(code, || error.to_string());
        }
        let failing = self.input.as_ref().is_some_and(EdgeInput::is_failing)
            || self.outputs.is_some_and(|(pulses, _)| pulses.is_failing());
        if !failing {
            self.end(FaultCode::GpioLost);
        }
    }

    fn clear(&mut self) {
        self.course.late_holds = false;
        self.drift.reset();
        self.decider.reset();
        let waits =
            |code: &FaultCode| matches!(code, FaultCode::LateResult | FaultCode::Drift | FaultCode::TriggerLost);
        for code in FaultCode::ALL.into_iter().filter(|code| waits(code) || code.ends_with_a_good_image()) {
            self.end(code);
        }
    }

    fn raise(&mut self, code: FaultCode, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if !self.faults.raise(code, now, text) {
            return;
        }
        self.tally.fault(code.name());
        let fault = self.faults.get(code).cloned();
        if let (Some(fault), Some(held)) = (&fault, self.course.quiet.begins(code, now)) {
            tracing::warn!(station = self.options.name, code = code.name(), held, "{}", fault.text);
        }
        let kind = if code == FaultCode::Drift { EventKind::Drift } else { EventKind::Fault };
        self.recorder.tell(kind, fault);
        if !self.lets_run() {
            self.liveness.withdraw(self.index);
        }
    }

    /// Whether every part is judged, and signalled in time or as the policy for late verdicts allows.
    fn lets_run(&self) -> bool {
        self.faults.let_run() && !self.course.late_holds
    }

    /// The cause of a fault is gone; it is over when it has stayed away for a while.
    fn end(&mut self, code: FaultCode) {
        if !self.course.lasting.contains(&code) {
            self.faults.end(code);
        }
    }

    fn tell_what_is_over(&mut self) {
        while let Some((code, fault)) = self.faults.take_over(Instant::now()) {
            if self.course.quiet.ends(code) {
                tracing::info!(station = self.options.name, code = code.name(), "over: {}", fault.text);
            }
            self.recorder.tell(EventKind::Recovered, Some(fault));
        }
    }
}

/// A frame that does not fit the recipe is the camera's fault, all else the backbone's.
fn code_of(error: &DetectorError) -> FaultCode {
    match error {
        DetectorError::Preprocess(_) => FaultCode::ImageDamaged,
        _ => FaultCode::BackboneFailed,
    }
}
