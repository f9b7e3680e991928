//! From readings to verdicts: confirmation by k of the last n, hold time and re-arming. A failed inspection is never a pass.

use core::fmt;

use crate::Judgement;

/// The longest look back, in readings.
pub const MAX_WINDOW: u8 = 32;

/// What the station says of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Familiar.
    Pass,
    /// A person looks: below the review point, or below the reject point but not confirmed.
    Review,
    /// Below the reject point, and confirmed.
    Reject,
    /// The inspection failed: nothing is known of the part.
    Fault,
}

impl Verdict {
    /// The word in reports and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Review => "review",
            Self::Reject => "reject",
            Self::Fault => "fault",
        }
    }
}

/// A verdict, and whether the reject output is to be pulsed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the station says of the part.
    pub verdict: Verdict,
    /// Only ever true with [`Verdict::Reject`].
    pub signal: bool,
}

/// How readings become verdicts. The default judges each reading by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeciderOptions {
    /// Rejecting readings needed among the last `n`, the present one included: 1 to `n`.
    pub k: u8,
    /// Readings looked back on: `k` to [`MAX_WINDOW`].
    pub n: u8,
    /// After a signal, none for this many milliseconds.
    pub hold_ms: u32,
    /// After a signal, none before this many readings in a row were not rejecting.
    pub rearm: u8,
}

impl Default for DeciderOptions {
    fn default() -> Self {
        Self { k: 1, n: 1, hold_ms: 0, rearm: 0 }
    }
}

/// Options that no decider can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecideError {
    /// Not 1 ≤ k ≤ n ≤ [`MAX_WINDOW`].
    Window {
        /// The k given.
        k: u8,
        /// The n given.
        n: u8,
    },
}

impl fmt::Display for DecideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Window { k, n } = *self;
        write!(f, "cannot confirm by {k} of {n} readings; set k from 1 to n and n from k to {MAX_WINDOW}")
    }
}

impl core::error::Error for DecideError {}

/// Turns readings into verdicts, one part after the other.
///
/// A reject is confirmed by at least k rejects among the last n readings, itself included; without that it is a review,
/// so a rejecting reading never passes silently. A failed inspection is a fault and leaves the decider as it was: it
/// confirms nothing, takes no place among the n, and neither helps nor hinders re-arming.
///
/// ```
/// use shelfwatch_core::{Decider, DeciderOptions, Judgement, Verdict};
/// let mut decider = Decider::new(DeciderOptions { k: 2, n: 3, ..DeciderOptions::default() }).unwrap();
/// let mut verdict = |reading| decider.decide(reading, 0).verdict;
/// assert_eq!(verdict(Some(Judgement::Reject)), Verdict::Review);
/// assert_eq!(verdict(None), Verdict::Fault);
/// assert_eq!(verdict(Some(Judgement::Pass)), Verdict::Pass);
/// assert_eq!(verdict(Some(Judgement::Reject)), Verdict::Reject);
/// ```
#[derive(Clone, Debug)]
pub struct Decider {
    options: DeciderOptions,
    /// The last n readings, the newest in bit 0; a bit is set where the reading rejected.
    rejects: u32,
    signalled_ms: Option<u64>,
    /// Readings in a row that must yet be free of rejects.
    until_armed: u8,
}

impl Decider {
    /// A decider that has seen nothing.
    ///
    /// # Errors
    /// [`DecideError`] unless 1 ≤ k ≤ n ≤ [`MAX_WINDOW`].
    pub const fn new(options: DeciderOptions) -> Result<Self, DecideError> {
        let DeciderOptions { k, n, .. } = options;
        if k < 1 || k > n || n > MAX_WINDOW {
            return Err(DecideError::Window { k, n });
        }
        Ok(Self { options, rejects: 0, signalled_ms: None, until_armed: 0 })
    }

    /// The verdict on one part. `None` is a failed inspection; `now_ms` counts milliseconds of a clock that nobody sets.
    ///
    /// Should that clock go backwards all the same, a running hold ends: one signal too many is the safe side.
    pub fn decide(&mut self, reading: Option<Judgement>, now_ms: u64) -> Decision {
        let Some(judgement) = reading else {
            return Decision { verdict: Verdict::Fault, signal: false };
        };
        let rejecting = judgement == Judgement::Reject;
        let window = u32::MAX >> (u32::from(MAX_WINDOW) - u32::from(self.options.n));
        self.rejects = (self.rejects << 1 | u32::from(rejecting)) & window;
        let verdict = match judgement {
            Judgement::Reject if self.rejects.count_ones() >= u32::from(self.options.k) => Verdict::Reject,
            Judgement::Reject | Judgement::Review => Verdict::Review,
            Judgement::Pass => Verdict::Pass,
        };
        let signal = verdict == Verdict::Reject && self.until_armed == 0 && !self.is_held(now_ms);
        if signal {
            self.signalled_ms = Some(now_ms);
            self.until_armed = self.options.rearm;
        } else if self.until_armed > 0 {
            self.until_armed = if rejecting { self.options.rearm } else { self.until_armed - 1 };
        }
        Decision { verdict, signal }
    }

    /// Whether the last signal is less than the hold time ago.
    fn is_held(&self, now_ms: u64) -> bool {
        let since = self.signalled_ms.and_then(|then| now_ms.checked_sub(then));
        since.is_some_and(|since| since < u64::from(self.options.hold_ms))
    }

    /// Forgets all readings and signals, as after a change of product.
    pub fn reset(&mut self) {
        *self = Self { options: self.options, rejects: 0, signalled_ms: None, until_armed: 0 };
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{Decider, DeciderOptions, Decision, Verdict};
    use crate::Judgement;

    fn decider(k: u8, n: u8, hold_ms: u32, rearm: u8) -> Decider {
        Decider::new(DeciderOptions { k, n, hold_ms, rearm }).unwrap()
    }

    /// `r` reject, `v` review, `p` pass, `f` fault; one reading each 10 ms. Capital letters signalled.
    fn run(decider: &mut Decider, readings: &str) -> std::string::String {
        let mut said = std::string::String::new();
        for (i, letter) in readings.chars().enumerate() {
            let reading = match letter {
                'r' => Some(Judgement::Reject),
                'v' => Some(Judgement::Review),
                'p' => Some(Judgement::Pass),
                _ => None,
            };
            let Decision { verdict, signal } = decider.decide(reading, i as u64 * 10);
            said.push(match (verdict, signal) {
                (Verdict::Reject, true) => 'R',
                (Verdict::Reject, false) => 'r',
                (Verdict::Review, _) => 'v',
                (Verdict::Pass, _) => 'p',
                (Verdict::Fault, _) => 'f',
            });
        }
        said
    }

    #[test]
    fn each_reject_signals_by_default() {
        let mut plain = Decider::new(DeciderOptions::default()).unwrap();
        assert_eq!(run(&mut plain, "prrvfrp"), "pRRvfRp");
    }

    #[test]
    fn confirmation_hold_and_rearm() {
        assert_eq!(run(&mut decider(2, 3, 0, 0), "rpprrpr"), "vppvRpR", "2 of 3");
        assert_eq!(run(&mut decider(2, 2, 0, 0), "rfrffr"), "vfRffR", "a fault takes no place");
        assert_eq!(run(&mut decider(1, 1, 25, 0), "rrrrrrr"), "RrrRrrR", "held for 25 ms");
        assert_eq!(run(&mut decider(1, 1, 0, 2), "rrprpprrpfvr"), "RrprppRrpfvR", "two clean readings in a row");
        assert_eq!(run(&mut decider(32, 32, 0, 0), &"r".repeat(33)), "v".repeat(31) + "RR");
    }

    #[test]
    fn a_clock_that_goes_back_does_not_lengthen_the_hold() {
        let mut held = decider(1, 1, 1000, 0);
        let mut signal = |now| held.decide(Some(Judgement::Reject), now).signal;
        assert!(signal(10_000));
        assert!(!signal(10_999));
        assert!(signal(9_999), "back: the hold ends");
        assert!(!signal(10_000));
        assert!(signal(u64::MAX) && !signal(u64::MAX));
    }

    #[test]
    fn options_that_nobody_can_follow_are_refused() {
        for (k, n) in [(0, 0), (0, 1), (2, 1), (1, 33), (33, 33), (255, 255)] {
            let error = Decider::new(DeciderOptions { k, n, hold_ms: 0, rearm: 0 }).unwrap_err();
            assert!(std::format!("{error}").contains("; set k from 1 to n"), "{error}");
        }
    }

    fn reading() -> impl Strategy<Value = Option<Judgement>> {
        prop_oneof![
            4 => Just(Some(Judgement::Reject)),
            2 => Just(Some(Judgement::Pass)),
            1 => Just(Some(Judgement::Review)),
            1 => Just(None),
        ]
    }

    /// The rules once more, told from the whole past.
    fn reference(options: DeciderOptions, past: &[(Option<Judgement>, u64)], said: &[Decision]) -> Decision {
        let (reading, now) = *past.last().unwrap();
        if reading.is_none() {
            return Decision { verdict: Verdict::Fault, signal: false };
        }
        let rejecting = |&(judgement, _): &(Option<Judgement>, u64)| judgement == Some(Judgement::Reject);
        let known: Vec<_> = past.iter().filter(|(judgement, _)| judgement.is_some()).collect();
        let rejects = known.iter().rev().take(usize::from(options.n)).filter(|reading| rejecting(reading)).count();
        let verdict = match reading.unwrap() {
            Judgement::Pass => Verdict::Pass,
            Judgement::Reject if rejects >= usize::from(options.k) => Verdict::Reject,
            _ => Verdict::Review,
        };
        let last = said.iter().rposition(|decision| decision.signal);
        let free = last.is_none_or(|last| {
            let since: Vec<_> = past[last + 1..past.len() - 1].iter().filter(|(r, _)| r.is_some()).collect();
            let mut row = 0;
            let clean = |row: &mut u8, reading| {
                *row = if rejecting(reading) { 0 } else { *row + 1 };
                *row
            };
            let rearmed = options.rearm == 0 || since.iter().any(|reading| clean(&mut row, reading) >= options.rearm);
            let then = past[last].1;
            rearmed && (now < then || now - then >= u64::from(options.hold_ms))
        });
        Decision { verdict, signal: verdict == Verdict::Reject && free }
    }

    proptest! {
        #[test]
        fn agrees_with_the_rules_told_from_the_whole_past(
            (k, n) in (1_u8..=32).prop_flat_map(|n| (1..=n, Just(n))),
            hold_ms in prop_oneof![Just(0_u32), 1_u32..200, any::<u32>()],
            rearm in prop_oneof![Just(0_u8), 1_u8..4, any::<u8>()],
            steps in prop::collection::vec((reading(), prop_oneof![9 => 0_i64..60, 1 => any::<i64>()]), 0..120),
        ) {
            let options = DeciderOptions { k, n, hold_ms, rearm };
            let mut decider = Decider::new(options).unwrap();
            let (mut now, mut past, mut said) = (1_000_u64, Vec::new(), Vec::new());
            for (reading, step) in steps {
                now = now.saturating_add_signed(step);
                past.push((reading, now));
                let decision = decider.decide(reading, now);
                prop_assert_eq!(decision, reference(options, &past, &said));
                prop_assert!(reading.is_some() || decision.verdict == Verdict::Fault);
                prop_assert!(reading != Some(Judgement::Reject) || decision.verdict != Verdict::Pass);
                said.push(decision);
            }
        }
    }
}
