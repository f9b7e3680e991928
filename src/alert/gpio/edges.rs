//! From edges as the kernel stamps them to changes that count: debounced by their own times, with lost ones counted.

use std::time::Duration;

/// An edge of an input, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// When it was, on `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// The level at some time between `at` and `read`: the kernel looks when its thread gets its turn.
    pub active: bool,
    /// Counts the line's edges; the kernel counts those too that it had no room to keep.
    pub sequence: u32,
    /// When it was read, on `CLOCK_MONOTONIC`.
    pub read: Duration,
}

/// Turns edges into changes of the settled level.
///
/// A level counts when it has lasted for the debounce time, so a shorter disturbance is none; the change then bears the
/// time of the *first* edge of its burst, which is when the part came. The kernel's own debouncing would stamp the end of
/// the burst, with a delay of whole timer ticks (4 ms at 250 Hz), and each pulse would come late by that.
///
/// Of a pulse that was over before the kernel looked, both edges show the level after it. As levels alternate, the one
/// between is known all the same. When the kernel was so late that it made one edge of the two, nothing tells how long
/// the pulse was; it counts, for a part must not be missed because the processor was busy.
///
/// ```
/// use std::time::Duration;
/// use shelfwatch::alert::gpio::{Edge, EdgeFilter};
/// let us = Duration::from_micros;
/// let mut filter = EdgeFilter::new(us(1000), true, false);
/// for (at, active, sequence) in [(100, true, 1), (300, false, 2), (500, true, 3)] {
///     assert_eq!(filter.edge(Edge { at: us(at), active, sequence, read: us(at + 50) }), None);
/// }
/// assert_eq!(filter.deadline(), Some(us(1500)));
/// assert_eq!(filter.settle(us(1500)), Some(us(100)));
/// ```
#[derive(Clone, Debug)]
pub struct EdgeFilter {
    debounce: Duration,
    wanted: bool,
    settled: bool,
    /// The first edge since a level last lasted for the debounce time.
    first: Duration,
    last: Option<Last>,
    lost: u64,
}

/// The edge that was taken in last.
#[derive(Clone, Copy, Debug)]
struct Last {
    edge: Edge,
    /// The level before it.
    before: bool,
    /// It has been counted as two in one.
    counted: bool,
}

impl EdgeFilter {
    /// Passes changes to the `wanted` level, from the level that the line has now. A debounce time of zero passes each
    /// edge to it.
    pub const fn new(debounce: Duration, wanted: bool, now: bool) -> Self {
        Self { debounce, wanted, settled: now, first: Duration::ZERO, last: None, lost: 0 }
    }

    /// Takes in an edge. `Some` is the time of a change that counts: this edge without debouncing, else one before it.
    pub fn edge(&mut self, edge: Edge) -> Option<Duration> {
        let Some(last) = self.last else {
            self.last = Some(Last { edge, before: self.settled, counted: false });
            self.first = edge.at;
            return self.at_once(edge);
        };
        let missing = edge.sequence.wrapping_sub(last.edge.sequence).wrapping_sub(1);
        // A number that goes back is a line that was requested anew, not four billion edges.
        self.lost += u64::from(if missing < u32::MAX / 2 { missing } else { 0 });
        // Where the kernel looked too late, the level was the other one, and this edge lies before the look. Two edges in
        // one look alike, but no edge follows them before the look.
        let looked_late = missing == 0 && last.edge.active == last.before && edge.at <= last.edge.read;
        let two_in_one = missing == 0 && !looked_late && self.is_two_in_one(last);
        let level = last.edge.active != looked_late;
        self.last = Some(Last { edge, before: if missing == 0 { level } else { !edge.active }, counted: false });
        if edge.at < last.edge.at.saturating_add(self.debounce) {
            return None;
        }
        // What was counted as two in one is over, whatever it turns out to have been.
        let change = if last.counted { None } else { self.change(level) };
        let change = change.or(two_in_one.then_some(last.edge.at));
        self.first = edge.at;
        self.at_once(edge).or(change)
    }

    /// The time has come so far without an edge. `Some` is the time of a change that counts.
    pub fn settle(&mut self, now: Duration) -> Option<Duration> {
        let last = self.last.filter(|last| now >= last.edge.at.saturating_add(self.debounce))?;
        if self.is_two_in_one(last) {
            self.last = Some(Last { counted: true, ..last });
            return Some(last.edge.at);
        }
        self.change(last.edge.active)
    }

    /// When to call [`settle`](Self::settle) unless an edge comes before.
    pub fn deadline(&self) -> Option<Duration> {
        let last = self.last.filter(|last| last.edge.active != self.settled || self.is_two_in_one(*last))?;
        Some(last.edge.at.saturating_add(self.debounce))
    }

    /// Whether the last edge stands alone and leads to the level that was there before, and has not been counted.
    fn is_two_in_one(&self, last: Last) -> bool {
        !self.debounce.is_zero() && last.edge.active == last.before && last.edge.at == self.first && !last.counted
    }

    fn change(&mut self, level: bool) -> Option<Duration> {
        let changed = std::mem::replace(&mut self.settled, level) != level;
        (changed && level == self.wanted && !self.debounce.is_zero()).then_some(self.first)
    }

    /// Without debouncing each edge counts.
    fn at_once(&self, edge: Edge) -> Option<Duration> {
        (self.debounce.is_zero() && edge.active == self.wanted).then_some(edge.at)
    }

    /// Edges lost since the last call.
    pub const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{Edge, EdgeFilter};

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    /// Feeds edges (µs, level) that are read so many µs later, and gives the times of changes.
    fn changes_read(filter: &mut EdgeFilter, edges: &[(u64, bool)], later: u64) -> Vec<u64> {
        let mut found = Vec::new();
        for (sequence, (at, active)) in (1..).zip(edges) {
            let read = us(at + later);
            // The thread wakes up at the deadline, but not before it has read what is there.
            if filter.deadline().is_some_and(|deadline| deadline < us(*at)) {
                found.extend(filter.settle(us(*at)));
            }
            found.extend(filter.edge(Edge { at: us(*at), active: *active, sequence, read }));
        }
        found.extend(filter.settle(us(1_000_000_000)));
        found.iter().map(|at| at.as_micros() as u64).collect()
    }

    fn changes(filter: &mut EdgeFilter, edges: &[(u64, bool)]) -> Vec<u64> {
        changes_read(filter, edges, 0)
    }

    #[test]
    fn a_bouncing_contact_counts_once_at_its_first_edge() {
        let edges = [(1000, true), (1200, false), (1300, true), (1350, false), (1400, true)];
        let release = [(50_000, false), (50_100, true), (50_150, false)];
        let all: Vec<_> = edges.into_iter().chain(release).chain([(90_000, true)]).collect();
        assert_eq!(changes(&mut EdgeFilter::new(us(1000), true, false), &all), [1000, 90_000]);
        assert_eq!(changes(&mut EdgeFilter::new(us(1000), false, false), &all), [50_000], "the other edge");
    }

    #[test]
    fn a_disturbance_shorter_than_the_debounce_time_is_none() {
        let spikes = [(1000, true), (1400, false), (10_000, true), (10_999, false)];
        assert!(changes(&mut EdgeFilter::new(us(1000), true, false), &spikes).is_empty());
        let dips = [(1000, false), (1400, true)];
        assert!(changes(&mut EdgeFilter::new(us(1000), true, true), &dips).is_empty());
        // One that was over when the kernel looked.
        let late = [(1000, false), (1001, false)];
        assert!(changes_read(&mut EdgeFilter::new(us(1000), true, false), &late, 20).is_empty());
        // The bounce between two that came as one does not hide the part.
        let bounced = [(1000, true), (1200, true)];
        assert_eq!(changes(&mut EdgeFilter::new(us(1000), true, false), &bounced), [1000]);
    }

    #[test]
    fn a_part_is_seen_though_it_was_gone_when_the_kernel_looked() {
        let gone = [(1000, false), (4000, false), (20_000, false), (23_000, false)];
        for later in [3000, 10_000, 50_000] {
            let mut filter = EdgeFilter::new(us(1000), true, false);
            assert_eq!(changes_read(&mut filter, &gone, later), [1000, 20_000], "looked {later} µs later");
        }
    }

    #[test]
    fn two_edges_in_one_count_once_for_nobody_knows_how_long_the_part_was_there() {
        for late in [0, 5000] {
            let mut filter = EdgeFilter::new(us(1000), true, false);
            assert_eq!(changes_read(&mut filter, &[(1000, false), (9000, false)], late), [1000, 9000], "{late}");
        }
        let gap = [(1000, true), (9000, true), (20_000, false)];
        assert_eq!(changes(&mut EdgeFilter::new(us(1000), true, false), &gap), [1000, 9000], "a gap between two parts");
        // The second edge comes after all, when the first has been counted.
        let mut filter = EdgeFilter::new(us(1000), true, false);
        let edge = |at, sequence| Edge { at: us(at), active: false, sequence, read: us(5000) };
        assert_eq!((filter.edge(edge(1000, 1)), filter.settle(us(5000))), (None, Some(us(1000))));
        assert_eq!((filter.settle(us(5001)), filter.deadline()), (None, None));
        assert_eq!((filter.edge(edge(4000, 2)), filter.settle(us(9000))), (None, None));
        assert_eq!(filter.edge(Edge { at: us(30_000), active: true, sequence: 3, read: us(30_001) }), None);
        assert_eq!(filter.settle(us(40_000)), Some(us(30_000)));
    }

    #[test]
    fn a_gap_that_was_over_when_the_kernel_looked_is_one_more_part_and_not_two() {
        for settled_between in [false, true] {
            let mut filter = EdgeFilter::new(us(1000), true, false);
            let edge = |at, active, sequence, read| Edge { at: us(at), active, sequence, read: us(read) };
            assert_eq!(filter.edge(edge(1000, true, 1, 1100)), None);
            assert_eq!(filter.settle(us(2500)), Some(us(1000)));
            // The gap from 26 ms to 28 ms; the kernel looks at 30 ms, and hands the second edge over a little later.
            assert_eq!(filter.edge(edge(26_000, true, 2, 30_000)), None);
            let early = if settled_between { filter.settle(us(30_100)) } else { None };
            let late = filter.edge(edge(28_000, true, 3, 30_200)).or_else(|| filter.settle(us(31_000)));
            let found: Vec<_> = early.into_iter().chain(late).collect();
            assert_eq!(found, [us(if settled_between { 26_000 } else { 28_000 })], "{settled_between}");
            assert_eq!(filter.edge(edge(53_000, false, 4, 53_100)).or_else(|| filter.settle(us(60_000))), None);
            assert_eq!(filter.edge(edge(70_000, true, 5, 70_100)), None);
            assert_eq!(filter.settle(us(71_500)), Some(us(70_000)));
        }
    }

    #[test]
    fn without_debouncing_each_edge_counts() {
        let edges = [(1000, true), (1200, false), (1300, true), (1301, true)];
        assert_eq!(changes(&mut EdgeFilter::new(us(0), true, false), &edges), [1000, 1300, 1301]);
    }

    #[test]
    fn a_part_that_is_there_from_the_beginning_is_no_change() {
        let mut filter = EdgeFilter::new(us(1000), true, true);
        assert_eq!(changes(&mut filter, &[(5000, false), (9000, true)]), [9000]);
    }

    #[test]
    fn gaps_in_the_numbers_are_counted() {
        let mut filter = EdgeFilter::new(us(0), true, false);
        let mut lost = |sequence| {
            filter.edge(Edge { at: us(1), active: true, sequence, read: us(1) });
            filter.take_lost()
        };
        assert_eq!((lost(7), lost(8), lost(12), lost(13)), (0, 0, 3, 0));
        assert_eq!((lost(1), lost(2)), (0, 0), "requested anew");
        assert_eq!(lost(u32::MAX - 1), 0);
        assert_eq!((lost(u32::MAX), lost(0), lost(2)), (0, 0, 1), "the number wraps");
    }

    proptest! {
        #[test]
        fn every_level_that_lasts_counts_once_however_late_the_kernel_looks(
            levels in prop::collection::vec((1001_u64..50_000, prop::collection::vec(any::<u8>(), 0..6)), 1..30),
            late in prop_oneof![Just(0), 0_u64..100_000],
        ) {
            // Each level lasts longer than the debounce time, after bounces that are closer than that.
            let (mut at, mut edges, mut expected, mut active) = (0, Vec::new(), Vec::new(), false);
            for (lasts, bounces) in levels {
                active = !active;
                at += lasts;
                if active {
                    expected.push(at);
                }
                edges.push((at, active));
                for bounce in bounces {
                    at += u64::from(bounce) + 1;
                    edges.push((at, !active));
                    at += 1;
                    edges.push((at, active));
                }
            }
            let level_at = |time| edges.iter().rev().find(|edge| edge.0 <= time).is_some_and(|edge| edge.1);
            let looked: Vec<_> = edges.iter().map(|(at, _)| (*at, level_at(at + late))).collect();
            let mut filter = EdgeFilter::new(us(1000), true, false);
            // The thread reads all edges that are there before it settles anything.
            let mut found: Vec<_> = (1..).zip(&looked).filter_map(|(sequence, (at, active))| {
                filter.edge(Edge { at: us(*at), active: *active, sequence, read: us(at + late) })
            }).collect();
            found.extend(filter.settle(us(1_000_000_000)));
            prop_assert_eq!(found, expected.into_iter().map(us).collect::<Vec<_>>());
            prop_assert!(filter.take_lost() == 0);
        }
    }
}
