//! The outputs of one step divided among threads: each output is computed by one of them, as by one alone.

use std::ops::Range;

use crate::depthwise::Windows;
use crate::product::Scratch;

/// Memory of one thread.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) scratch: Scratch,
    pub(crate) windows: Windows,
}

/// Calls `run` once for each lane, at the same time where there are threads, with a part of `units` and of `out`. The
/// results of the units lie behind one another, `size` values each; the last may have fewer.
pub(crate) fn divide<T: Send>(
    lanes: &mut [Lane],
    units: Range<usize>,
    size: usize,
    out: &mut [T],
    run: &(impl Fn(&Range<usize>, &mut Lane, &mut [T]) + Sync),
) {
    if lanes.len() < 2 || units.len() < 2 {
        run(&units, &mut lanes[0], out);
        return;
    }
    let middle = lanes.len() / 2;
    let count = (units.len() * middle).div_ceil(lanes.len());
    let (near, far) = (units.start..units.start + count, units.start + count..units.end);
    let (near_lanes, far_lanes) = lanes.split_at_mut(middle);
    let (near_out, far_out) = out.split_at_mut(count * size);
    join(|| divide(near_lanes, near, size, near_out, run), || divide(far_lanes, far, size, far_out, run));
}

#[cfg(feature = "threads")]
fn join(near: impl FnOnce() + Send, far: impl FnOnce() + Send) {
    rayon::join(near, far);
}

#[cfg(not(feature = "threads"))]
fn join(near: impl FnOnce() + Send, far: impl FnOnce() + Send) {
    near();
    far();
}
