//! What a window sees of an image, one row of values per output position.

use std::ops::Range;

use crate::program::Tensor;
use crate::window::Window;

/// The values under a window, for all output positions of one group of channels.
pub(crate) struct Gather {
    pub(crate) window: Window,
    /// Rows, columns and channels of the input.
    pub(crate) input: [usize; 3],
    /// Columns of the output.
    pub(crate) columns: usize,
}

impl Gather {
    pub(crate) fn new(window: Window, input: &Tensor, output: &Tensor) -> Gather {
        let extents = [input.rows as usize, input.columns as usize, input.channels as usize];
        Gather { window, input: extents, columns: output.columns as usize }
    }

    /// Writes the windows of `positions`, `stride` values apart, restricted to `channels`.
    pub(crate) fn rows<T: Copy>(
        &self,
        values: &[T],
        padding: T,
        channels: &Range<usize>,
        positions: Range<usize>,
        stride: usize,
        out: &mut [T],
    ) {
        for (row, position) in out.chunks_mut(stride).zip(positions) {
            self.row(values, padding, channels, position, row);
        }
    }

    /// Writes the window of one position: by kernel row, kernel column, channel.
    pub(crate) fn row<T: Copy>(
        &self,
        values: &[T],
        padding: T,
        channels: &Range<usize>,
        position: usize,
        out: &mut [T],
    ) {
        let Gather { window, input: [height, width, depth], columns } = self;
        let (y, x) = (position / columns, position % columns);
        let [kernel_rows, kernel_columns] = window.kernel.map(|k| k as usize);
        let line = kernel_columns * channels.len();
        // All channels, and taps side by side: a whole line of the window lies together.
        let together = channels.len() == *depth && window.dilation[1] == 1;
        for (row, out) in out.chunks_exact_mut(line).take(kernel_rows).enumerate() {
            let Some(source) = window.source(0, y, row, *height) else {
                out.fill(padding);
                continue;
            };
            if together {
                let start = window.start(1, x);
                if start >= 0 && start as usize + kernel_columns <= *width {
                    let from = (source * width + start as usize) * depth;
                    out.copy_from_slice(&values[from..][..line]);
                    continue;
                }
                let before = start.min(0).unsigned_abs().min(kernel_columns);
                let first = start.max(0) as usize;
                let inside = (kernel_columns - before).min(width.saturating_sub(first));
                let from = (source * width + first.min(*width)) * depth;
                out[..before * depth].fill(padding);
                out[before * depth..][..inside * depth].copy_from_slice(&values[from..][..inside * depth]);
                out[(before + inside) * depth..].fill(padding);
                continue;
            }
            for (tap, out) in out.chunks_exact_mut(channels.len()).enumerate() {
                match window.source(1, x, tap, *width) {
                    Some(column) => {
                        let from = (source * width + column) * depth + channels.start;
                        out.copy_from_slice(&values[from..][..channels.len()]);
                    }
                    None => out.fill(padding),
                }
            }
        }
    }
}
