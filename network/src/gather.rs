//! What a window sees of an image, one row of values per output position.

use std::ops::Range;

use crate::program::Tensor;
use crate::window::Window;

/// Writes windows of one row of outputs, and tells how many.
type Lines<T> = fn(&Gather, &[T], usize, Range<usize>, usize, &mut [T]) -> usize;

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

    /// Writes the windows of `positions`, `stride` values apart, restricted to `channels`. What lies between two
    /// windows has no meaning.
    pub(crate) fn rows<T: Copy>(
        &self,
        values: &[T],
        padding: T,
        channels: &Range<usize>,
        positions: Range<usize>,
        stride: usize,
        out: &mut [T],
    ) {
        let line = self.window.kernel[1] as usize * channels.len();
        let copy: Option<Lines<T>> = match line {
            0..=16 => Some(Self::lines::<T, 16>),
            17..=32 => Some(Self::lines::<T, 32>),
            33..=64 => Some(Self::lines::<T, 64>),
            _ => None,
        };
        let Gather { window, input: [height, width, _], columns } = self;
        let inner = [window.inner(0, *height, usize::MAX), window.inner(1, *width, *columns)];
        let together = self.is_together(channels);
        let mut position = positions.start;
        while position < positions.end {
            let (y, x) = (position / columns, position % columns);
            let end = (*columns).min(x + positions.end - position);
            let place = |x: usize| (y * columns + x - positions.start) * stride;
            let all = together && inner[0].contains(&y);
            let middle = if all { x.max(inner[1].start).min(end)..inner[1].end.clamp(x, end) } else { x..x };
            // From left to right: a copied line may reach into windows further on.
            for x in x..middle.start {
                self.row(values, padding, channels, y * columns + x, &mut out[place(x)..]);
            }
            let copied = match copy {
                Some(copy) => copy(self, values, y, middle.clone(), stride, &mut out[place(middle.start)..]),
                None => 0,
            };
            for x in middle.start + copied..end {
                self.row(values, padding, channels, y * columns + x, &mut out[place(x)..]);
            }
            position += end - x;
        }
    }

    /// Whether a whole line of a window lies together: all channels, and taps side by side.
    fn is_together(&self, channels: &Range<usize>) -> bool {
        channels.len() == self.input[2] && self.window.dilation[1] == 1
    }

    /// Writes the windows of outputs `middle` of row `y`, all inside the image, whose lines lie together and are not
    /// longer than N. Each is copied as N values, so that no length has to be looked at; what is too much is
    /// overwritten by the next line or window, or lies between windows. Ends where there is no room for so many.
    fn lines<T: Copy, const N: usize>(
        &self,
        values: &[T],
        y: usize,
        middle: Range<usize>,
        stride: usize,
        out: &mut [T],
    ) -> usize {
        let Gather { window, input: [_, width, depth], .. } = self;
        let [rows, line] = [window.kernel[0] as usize, window.kernel[1] as usize * depth];
        // Inside the image a window starts at or after its first row and column.
        let top = window.start(0, y).unsigned_abs();
        let down = window.dilation[0] as usize * width * depth;
        let from = |x: usize| (top * width + window.start(1, x).unsigned_abs()) * depth;
        let room = |x: &usize| {
            let (from, to) = (from(*x) + (rows - 1) * down, (x - middle.start) * stride + (rows - 1) * line);
            from + N <= values.len() && to + N <= out.len()
        };
        let count = middle.clone().rev().find(room).map_or(0, |last| last + 1 - middle.start);
        for at in 0..count {
            let from = from(middle.start + at);
            for row in 0..rows {
                let (from, to) = (from + row * down, at * stride + row * line);
                out[to..to + N].copy_from_slice(&values[from..from + N]);
            }
        }
        count
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
        let together = self.is_together(channels);
        let (y, x) = (position / columns, position % columns);
        let [kernel_rows, kernel_columns] = window.kernel.map(|k| k as usize);
        let line = kernel_columns * channels.len();
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
