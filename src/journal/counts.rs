//! What is counted a minute, and what is kept of a sampled pass.

use std::ops::{AddAssign, Sub};

use jiff::Timestamp;
use serde::Serialize;

use super::original::Original;
use crate::event::EventReading;

/// Counters of a station over a minute or any longer time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Parts that got a verdict.
    pub inspected: u64,
    /// Verdict pass.
    pub passed: u64,
    /// Verdict review.
    pub review: u64,
    /// Verdict reject.
    pub rejected: u64,
    /// Parts that could not be judged.
    pub faults: u64,
    /// Images thrown away because judging could not keep up.
    pub dropped: u64,
    /// Verdicts that came after their pulse was due.
    pub late: u64,
}

impl Counts {
    /// In the order of the journal's columns.
    pub(super) fn columns(&self) -> [i64; 7] {
        let all = [self.inspected, self.passed, self.review, self.rejected, self.faults, self.dropped, self.late];
        all.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// From the journal's columns.
    pub(super) fn from_columns(columns: [i64; 7]) -> Self {
        let [inspected, passed, review, rejected, faults, dropped, late] =
            columns.map(|count| u64::try_from(count).unwrap_or(0));
        Self { inspected, passed, review, rejected, faults, dropped, late }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.inspected += other.inspected;
        self.passed += other.passed;
        self.review += other.review;
        self.rejected += other.rejected;
        self.faults += other.faults;
        self.dropped += other.dropped;
        self.late += other.late;
    }
}

impl Sub for Counts {
    type Output = Self;

    /// What was counted between an earlier reading and this one.
    fn sub(self, earlier: Self) -> Self {
        Self {
            inspected: self.inspected - earlier.inspected,
            passed: self.passed - earlier.passed,
            review: self.review - earlier.review,
            rejected: self.rejected - earlier.rejected,
            faults: self.faults - earlier.faults,
            dropped: self.dropped - earlier.dropped,
            late: self.late - earlier.late,
        }
    }
}

/// A passed part that was picked to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// Unique as an event's id, and from the same numbers.
    pub id: String,
    /// Name of the station.
    pub station: String,
    /// When the image was taken, UTC.
    pub time: Timestamp,
    /// Number of the part since the station began.
    pub part: u64,
    /// The numbers behind the verdict.
    pub reading: EventReading,
    /// SHA-256 of the shelf file, hexadecimal.
    pub shelf: String,
    /// SHA-256 of the configuration file, hexadecimal.
    pub config: String,
    /// The image, where it is to be kept.
    pub image: Option<Original>,
}
