//! When which output is active: pulses that wait, run and end. No clock and no pin in here, so that it can be tested.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::error::GpioError;
use crate::config::{LateResult, PulseLine};

/// Pulses that may wait at a time, over all outputs.
pub const CAPACITY: usize = 1024;

/// An output of a [`Pulses`](super::Pulses), by its place in the list it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputId(pub usize);

/// How an output is pulsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseShape {
    /// From the trigger to the pulse. Zero: as soon as the verdict is there, which is then never late.
    pub delay: Duration,
    /// Length of the pulse; `None` holds the output until it is cleared.
    pub width: Option<Duration>,
    /// What to do when the verdict comes after the pulse was due.
    pub late: LateResult,
}

impl From<&PulseLine> for PulseShape {
    fn from(line: &PulseLine) -> Self {
        let width = Duration::from_millis(line.width_ms.into());
        Self {
            delay: Duration::from_millis(line.delay_ms.into()),
            width: (!width.is_zero()).then_some(width),
            late: line.late,
        }
    }
}

/// What became of a request for a pulse. Times are of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    /// It begins then.
    At(Duration),
    /// It was due already: raise the fault `late-result`.
    Late {
        /// How long it had been due.
        by: Duration,
        /// Whether it begins now, or not at all.
        fired: bool,
    },
}

impl Scheduled {
    /// The fault `late-result` where the verdict came too late; it names the output.
    pub fn fault(self, output: &str) -> Option<GpioError> {
        match self {
            Self::At(_) => None,
            Self::Late { by, fired } => Some(GpioError::Late { output: output.to_owned(), by, fired }),
        }
    }
}

/// What happened since the start, over all outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PulseCounts {
    /// Pulses asked for and accepted.
    pub scheduled: u64,
    /// Outputs made active.
    pub begun: u64,
    /// Pulses that began while their output was active already: it saw one longer pulse for several parts.
    pub merged: u64,
    /// Pulses that were due before they were asked for.
    pub late: u64,
    /// The longest time from when a pulse was due to when its output was active.
    pub slowest: Duration,
}

/// A change of an output's level that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) output: usize,
    pub(super) active: bool,
    /// When it was due.
    pub(super) due: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Inactive,
    Time(Duration),
    Cleared,
}

#[derive(Debug)]
struct Track {
    name: String,
    shape: PulseShape,
    until: Until,
}

/// All outputs with what is to become of them.
#[derive(Debug)]
pub(super) struct Plan {
    tracks: Vec<Track>,
    /// Begin, order of arrival, output. Never longer than [`CAPACITY`], so that it never grows.
    starts: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    pub(super) counts: PulseCounts,
}

impl Plan {
    pub(super) fn new(outputs: impl Iterator<Item = (String, PulseShape)>) -> Self {
        let tracks = outputs.map(|(name, shape)| Track { name, shape, until: Until::Inactive }).collect();
        Self { tracks, starts: BinaryHeap::with_capacity(CAPACITY), counts: PulseCounts::default() }
    }

    /// Takes in a pulse for a part whose trigger came at `from`.
    pub(super) fn schedule(&mut self, output: OutputId, from: Duration, now: Duration) -> Result<Scheduled, GpioError> {
        let waiting = self.starts.len();
        let Some(track) = self.tracks.get(output.0) else {
            return Err(GpioError::NoSuchOutput(output.0));
        };
        let due = if track.shape.delay.is_zero() { now } else { from.saturating_add(track.shape.delay) };
        let by = now.saturating_sub(due);
        let fired = by.is_zero() || track.shape.late == LateResult::Now;
        if fired && waiting >= CAPACITY {
            return Err(GpioError::Full { output: track.name.clone(), waiting });
        }
        self.counts.late += u64::from(!by.is_zero());
        if fired {
            self.counts.scheduled += 1;
            self.starts.push(Reverse((due.max(now), self.counts.scheduled, output.0)));
        }
        Ok(if by.is_zero() { Scheduled::At(due) } else { Scheduled::Late { by, fired } })
    }

    /// When the next change is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.ends().chain(self.starts.peek().map(|start| start.0.0)).min()
    }

    /// The earliest change that is due, to be made before the next one is asked for. At the same time a begin comes
    /// before an end, so that pulses that touch are one.
    pub(super) fn step(&mut self, now: Duration) -> Option<Change> {
        loop {
            let ends = self.tracks.iter().enumerate().filter_map(|(output, track)| match track.until {
                Until::Time(end) if end <= now => Some((end, output)),
                _ => None,
            });
            let end = ends.min();
            let start = self.starts.peek().map(|start| start.0).filter(|start| start.0 <= now);
            let Some((due, _, output)) = start.filter(|start| end.is_none_or(|end| start.0 <= end.0)) else {
                let (due, output) = end?;
                self.tracks[output].until = Until::Inactive;
                return Some(Change { output, active: false, due });
            };
            self.starts.pop();
            let track = &mut self.tracks[output];
            let until = track.shape.width.map_or(Until::Cleared, |width| Until::Time(now.saturating_add(width)));
            match std::mem::replace(&mut track.until, until) {
                Until::Inactive => return Some(Change { output, active: true, due }),
                Until::Time(_) | Until::Cleared => self.counts.merged += 1,
            }
        }
    }

    /// The output is active since `now`: its pulse has its whole width from here.
    pub(super) fn began(&mut self, output: usize, due: Duration, now: Duration) {
        let track = &mut self.tracks[output];
        if let (Until::Time(end), Some(width)) = (track.until, track.shape.width) {
            track.until = Until::Time(end.max(now.saturating_add(width)));
        }
        self.counts.begun += 1;
        self.counts.slowest = self.counts.slowest.max(now.saturating_sub(due));
    }

    /// Lets go of the outputs that are held.
    pub(super) fn clear(&mut self) {
        for track in self.tracks.iter_mut().filter(|track| track.until == Until::Cleared) {
            track.until = Until::Time(Duration::ZERO);
        }
    }

    /// Outputs that are held until they are cleared.
    pub(super) fn held(&self) -> usize {
        self.tracks.iter().filter(|track| track.until == Until::Cleared).count()
    }

    /// When the last pulse that waits or runs will have ended; held outputs do not count.
    pub(super) fn last(&self) -> Option<Duration> {
        let waiting = self.starts.iter().map(|Reverse((begin, _, output))| {
            begin.saturating_add(self.tracks[*output].shape.width.unwrap_or_default())
        });
        self.ends().chain(waiting).max()
    }

    /// Pulses that wait or run. A held output has nothing left to do.
    pub(super) fn in_flight(&self) -> usize {
        self.starts.len() + self.ends().count()
    }

    /// When the pulses end that run.
    fn ends(&self) -> impl Iterator<Item = Duration> + '_ {
        self.tracks.iter().filter_map(|track| match track.until {
            Until::Time(end) => Some(end),
            Until::Inactive | Until::Cleared => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::{CAPACITY, Change, LateResult, OutputId, Plan, PulseShape, Scheduled};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn plan(delay: u64, width: Option<u64>, late: LateResult) -> Plan {
        let shape = PulseShape { delay: ms(delay), width: width.map(ms), late };
        Plan::new([("left".to_owned(), shape), ("right".to_owned(), shape)].into_iter())
    }

    /// Every change until `end`, as a machine that is never late makes them: time, output, level.
    fn played(plan: &mut Plan, end: u64) -> Vec<(u64, usize, bool)> {
        let mut changes = Vec::new();
        while let Some(now) = plan.next().filter(|next| *next <= ms(end)) {
            while let Some(Change { output, active, due }) = plan.step(now) {
                changes.push((now.as_millis() as u64, output, active));
                if active {
                    plan.began(output, due, now);
                }
            }
        }
        changes
    }

    #[test]
    fn several_pulses_in_flight() {
        let mut plan = plan(500, Some(50), LateResult::Now);
        for from in [0, 100, 200] {
            assert_eq!(plan.schedule(OutputId(0), ms(from), ms(from + 90)), Ok(Scheduled::At(ms(from + 500))));
        }
        assert!(plan.schedule(OutputId(1), ms(120), ms(210)).is_ok());
        assert_eq!(plan.in_flight(), 4);
        assert_eq!(plan.last(), Some(ms(750)));
        let expected = [
            (500, 0, true),
            (550, 0, false),
            (600, 0, true),
            (620, 1, true),
            (650, 0, false),
            (670, 1, false),
            (700, 0, true),
            (750, 0, false),
        ];
        assert_eq!(played(&mut plan, 10_000), expected);
        assert_eq!((plan.in_flight(), plan.last(), plan.counts.begun, plan.counts.merged), (0, None, 4, 0));
    }

    #[test]
    fn overlapping_and_touching_pulses_are_one_longer_pulse() {
        let mut plan = plan(100, Some(50), LateResult::Now);
        for from in [0, 30, 80] {
            plan.schedule(OutputId(0), ms(from), ms(from)).unwrap();
        }
        assert_eq!(played(&mut plan, 10_000), [(100, 0, true), (230, 0, false)]);
        assert_eq!((plan.counts.scheduled, plan.counts.begun, plan.counts.merged), (3, 1, 2));
    }

    #[test]
    fn a_late_thread_still_gives_each_pulse_its_width() {
        let mut plan = plan(10, Some(50), LateResult::Now);
        plan.schedule(OutputId(0), ms(0), ms(0)).unwrap();
        let change = plan.step(ms(200)).unwrap();
        assert_eq!(change, Change { output: 0, active: true, due: ms(10) });
        plan.began(0, change.due, ms(203));
        assert_eq!((plan.step(ms(252)), plan.counts.slowest), (None, ms(193)));
        assert_eq!(plan.step(ms(253)), Some(Change { output: 0, active: false, due: ms(253) }));
    }

    #[test]
    fn late_verdicts_follow_the_policy() {
        let mut now = plan(100, Some(50), LateResult::Now);
        let late = Scheduled::Late { by: ms(40), fired: true };
        assert_eq!(now.schedule(OutputId(0), ms(0), ms(140)), Ok(late));
        let fault = late.fault("left").unwrap();
        assert_eq!(fault.code(), "late-result");
        assert!(fault.to_string().contains("came 40 ms after the pulse of output left was due"), "{fault}");
        assert_eq!(played(&mut now, 1000), [(140, 0, true), (190, 0, false)]);
        let mut stop = plan(100, Some(50), LateResult::Stop);
        let late = Scheduled::Late { by: ms(40), fired: false };
        assert_eq!(stop.schedule(OutputId(0), ms(0), ms(140)), Ok(late));
        assert_eq!(stop.schedule(OutputId(0), ms(40), ms(140)), Ok(Scheduled::At(ms(140))), "in the last moment");
        assert_eq!((played(&mut stop, 1000).len(), stop.counts.late, stop.counts.scheduled), (2, 1, 1));
        let mut at_once = plan(0, Some(50), LateResult::Stop);
        assert_eq!(at_once.schedule(OutputId(0), ms(0), ms(300)), Ok(Scheduled::At(ms(300))), "no delay is never late");
    }

    #[test]
    fn held_outputs_wait_for_the_clear() {
        let mut plan = plan(10, None, LateResult::Now);
        plan.schedule(OutputId(0), ms(0), ms(0)).unwrap();
        plan.schedule(OutputId(0), ms(20), ms(20)).unwrap();
        plan.clear();
        assert_eq!(played(&mut plan, 10_000), [(10, 0, true)], "what has not begun is not cleared");
        assert_eq!((plan.held(), plan.in_flight(), plan.last(), plan.counts.merged), (1, 0, None, 1));
        plan.clear();
        assert_eq!(plan.step(ms(50)), Some(Change { output: 0, active: false, due: ms(0) }));
        assert_eq!((plan.held(), plan.step(ms(60))), (0, None));
    }

    #[test]
    fn beyond_its_room_a_pulse_is_an_error() {
        let mut plan = plan(100, Some(50), LateResult::Now);
        let room = plan.starts.capacity();
        for i in 0..CAPACITY as u64 {
            plan.schedule(OutputId(1), ms(i), ms(i)).unwrap();
        }
        let error = plan.schedule(OutputId(1), ms(0), ms(0)).unwrap_err();
        assert_eq!((error.code(), plan.counts.scheduled), ("pulses-full", CAPACITY as u64));
        assert!(plan.schedule(OutputId(2), ms(0), ms(0)).is_err(), "an output that is not there");
        assert_eq!(plan.starts.capacity(), room);
        assert!(plan.schedule(OutputId(0), Duration::MAX, ms(0)).is_err());
    }

    proptest! {
        #[test]
        fn an_output_is_active_exactly_where_a_pulse_covers_it(
            triggers in prop::collection::vec((0_u64..2000, 0_usize..2), 0..40), width in 1_u64..300,
        ) {
            let mut plan = plan(50, Some(width), LateResult::Now);
            for (from, output) in &triggers {
                plan.schedule(OutputId(*output), ms(*from), ms(0)).unwrap();
            }
            let changes = played(&mut plan, 10_000);
            for output in 0..2 {
                let own: Vec<_> = changes.iter().filter(|change| change.1 == output).collect();
                prop_assert!(own.iter().enumerate().all(|(i, change)| change.2 == (i % 2 == 0)), "levels alternate");
                let mut covered = [false; 2600];
                for (from, _) in triggers.iter().filter(|(_, own)| *own == output) {
                    covered[*from as usize + 50..(from + 50 + width) as usize].fill(true);
                }
                for (t, covered) in covered.iter().enumerate() {
                    let level = own.iter().rev().find(|change| change.0 <= t as u64).is_some_and(|change| change.2);
                    prop_assert_eq!(level, *covered, "output {} at {}", output, t);
                }
            }
            prop_assert_eq!(plan.counts.begun + plan.counts.merged, triggers.len() as u64);
        }
    }
}
