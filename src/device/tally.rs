//! What a station has done and how it is, for metrics and messages. The frame loop holds the lock for a few additions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use shelfwatch_core::Verdict;

use crate::event::EventFault;
use crate::journal::Counts;
use crate::status::{Phase, StationSnapshot};

/// Scores that the quantiles are taken from.
const RECENT: usize = 512;
/// Seconds that the rate is taken over.
const SECONDS: usize = 60;
/// Shares of scores that are shown.
const SHARES: [f64; 5] = [0.01, 0.1, 0.5, 0.9, 0.99];

/// A station's numbers since the program started.
#[derive(Debug)]
pub struct Tally(Mutex<Numbers>);

#[derive(Debug)]
struct Numbers {
    shown: StationSnapshot,
    scores: [f32; RECENT],
    seen: usize,
    began: Instant,
    second: u64,
    per_second: [u32; SECONDS],
    since: Timestamp,
    last_reject: Option<Timestamp>,
    /// What the journal had of the counts when it last took them.
    taken: Counts,
}

impl Tally {
    /// All zero.
    pub fn new(station: &str) -> Self {
        Self(Mutex::new(Numbers {
            shown: StationSnapshot { station: station.to_owned(), ..StationSnapshot::default() },
            scores: [0.0; RECENT],
            seen: 0,
            began: Instant::now(),
            second: 0,
            per_second: [0; SECONDS],
            since: Timestamp::now(),
            last_reject: None,
            taken: Counts::default(),
        }))
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // Every change leaves the numbers whole, so that a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a verdict. `score` is `None` where the image could not be judged.
    pub fn verdict(&self, verdict: Verdict, score: Option<f32>, latency_ms: f64, late: bool) {
        let mut numbers = self.numbers();
        let numbers = &mut *numbers;
        let shown = &mut numbers.shown;
        let count = match verdict {
            Verdict::Pass => &mut shown.passed,
            Verdict::Review => &mut shown.review,
            Verdict::Reject => &mut shown.rejected,
            Verdict::Fault => &mut shown.failed,
        };
        *count += 1;
        shown.late += u64::from(late);
        shown.latency.add(latency_ms);
        if verdict == Verdict::Reject {
            numbers.last_reject = Some(Timestamp::now());
        }
        if let Some(score) = score {
            numbers.scores[numbers.seen % RECENT] = score;
            numbers.seen += 1;
        }
        numbers.turn();
        numbers.per_second[(numbers.second % SECONDS as u64) as usize] += 1;
    }

    /// Parts that were judged.
    pub fn judged(&self) -> u64 {
        self.numbers().shown.judged()
    }

    /// A fault began.
    pub fn fault(&self, code: &'static str) {
        let mut numbers = self.numbers();
        match numbers.shown.faults.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(numbers.shown.faults.insert(code.to_owned(), 1)),
        }
    }

    /// What the station is doing now, and its gravest fault. True where that is news.
    pub fn phase(&self, phase: Phase, fault: Option<&EventFault>) -> bool {
        let mut numbers = self.numbers();
        let is_new = numbers.shown.phase != phase || numbers.shown.fault.as_ref() != fault;
        if is_new {
            numbers.since = Timestamp::now();
            numbers.shown.phase = phase;
            numbers.shown.fault = fault.cloned();
        }
        is_new
    }

    /// Images dropped since the last call, and waiting now.
    pub fn queue(&self, dropped: u64, waiting: u64) {
        let mut numbers = self.numbers();
        numbers.shown.dropped += dropped;
        numbers.shown.queue = waiting;
    }

    /// What was counted since this was last asked.
    pub fn take_fresh(&self) -> Counts {
        let mut numbers = self.numbers();
        let shown = &numbers.shown;
        let all = Counts {
            inspected: shown.judged() + shown.failed,
            passed: shown.passed,
            review: shown.review,
            rejected: shown.rejected,
            faults: shown.failed,
            dropped: shown.dropped,
            late: shown.late,
        };
        all - std::mem::replace(&mut numbers.taken, all)
    }

    /// Since when the phase is what it is, and when a part was last rejected.
    pub fn times(&self) -> (Timestamp, Option<Timestamp>) {
        let numbers = self.numbers();
        (numbers.since, numbers.last_reject)
    }

    /// All of it, to be shown.
    pub fn snapshot(&self) -> StationSnapshot {
        let mut numbers = self.numbers();
        numbers.turn();
        let mut shown = numbers.shown.clone();
        let recent: u32 = numbers.per_second.iter().sum();
        shown.fps = f64::from(recent) / numbers.began.elapsed().as_secs_f64().clamp(1.0, SECONDS as f64);
        let mut scores = numbers.scores[..numbers.seen.min(RECENT)].to_vec();
        drop(numbers);
        scores.sort_by(f32::total_cmp);
        if let Some(last) = scores.len().checked_sub(1) {
            let at = |share: f64| f64::from(scores[(share * last as f64).round() as usize]);
            shown.scores = SHARES.iter().map(|share| (*share, at(*share))).collect();
        }
        shown
    }
}

impl Numbers {
    /// Empties the seconds in which nothing came.
    fn turn(&mut self) {
        let now = self.began.elapsed().as_secs();
        for second in (self.second + 1..=now).rev().take(SECONDS) {
            self.per_second[(second % SECONDS as u64) as usize] = 0;
        }
        self.second = now;
    }
}

#[cfg(test)]
mod tests {
    use shelfwatch_core::Verdict;

    use super::Tally;
    use crate::status::Phase;

    #[test]
    fn verdicts_are_counted_once_and_taken_once() {
        let tally = Tally::new("a");
        for i in 0..600 {
            let verdict = if i % 6 == 0 { Verdict::Reject } else { Verdict::Pass };
            tally.verdict(verdict, Some(i as f32), 3.0, i % 100 == 0);
        }
        tally.verdict(Verdict::Fault, None, 3.0, false);
        tally.queue(3, 2);
        tally.queue(2, 1);
        let shown = tally.snapshot();
        assert_eq!((shown.passed, shown.rejected, shown.failed, shown.late, shown.dropped), (500, 100, 1, 6, 5));
        assert_eq!(shown.latency.count(), 601);
        // The median of the last 512 of 0, 1, … 599.
        assert_eq!(shown.scores[2], (0.5, 344.0));
        let fresh = tally.take_fresh();
        assert_eq!((fresh.inspected, fresh.passed, fresh.faults, fresh.dropped), (601, 500, 1, 5));
        assert_eq!(tally.take_fresh(), crate::journal::Counts::default());
        assert!(tally.phase(Phase::Ready, None) && !tally.phase(Phase::Ready, None));
        assert!(tally.times().1.is_some() && shown.fps > 0.0);
    }
}
