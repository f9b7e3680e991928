//! The lines of an image that one row of windows sees, copied with their padding into a ring.

use crate::program::Tensor;
use crate::window::Window;

/// Most values of all lines, so that they stay in the cache.
const MOST: u64 = 1 << 16;

/// Pixels that can be copied in the time that one window takes at an edge, where it is gathered and computed alone.
const WINDOW: u64 = 28;

/// The form of the lines.
pub(crate) struct Lines {
    window: Window,
    /// Rows, columns and channels of the input.
    input: [usize; 3],
    /// Lines of the ring.
    count: usize,
    /// Values of one line.
    length: usize,
    /// Columns of padding, and then of the image, that a line holds.
    before: usize,
    inside: usize,
}

/// The lines over one image.
pub(crate) struct Ring<'a, X> {
    form: &'a Lines,
    values: &'a mut [X],
    padding: X,
    /// The first row that no line holds yet.
    next: isize,
}

impl Lines {
    /// The lines for these windows, if they are few and short enough.
    pub(crate) fn new(window: &Window, input: &Tensor, output: &Tensor) -> Option<Lines> {
        let reach = [0, 1].map(|axis| u64::from(window.kernel[axis] - 1) * u64::from(window.dilation[axis]));
        let width = u64::from(output.columns - 1) * u64::from(window.stride[1]) + reach[1] + 1;
        let size = (reach[0] + 1).checked_mul(width)?.checked_mul(u64::from(input.channels))?;
        let inner = [0, 1].map(|axis| window.inner(axis, input.extent(axis), output.extent(axis)).len());
        let edges = (output.positions() - inner[0] * inner[1]) as u64;
        if size > MOST || edges * WINDOW < input.positions() as u64 {
            return None;
        }
        let channels = input.channels as usize;
        let (count, width) = (reach[0] as usize + 1, width as usize);
        let before = (window.before[1] as usize).min(width);
        let inside = (width - before).min(input.columns as usize);
        let input = [input.rows as usize, input.columns as usize, channels];
        Some(Lines { window: *window, input, count, length: width * channels, before, inside })
    }

    /// Values of all lines.
    pub(crate) fn size(&self) -> usize {
        self.count * self.length
    }

    /// Lines in `values`, none of which is there yet.
    pub(crate) fn ring<'a, X: Copy>(&'a self, values: &'a mut [X], padding: X) -> Ring<'a, X> {
        Ring { form: self, values: &mut values[..self.size()], padding, next: isize::MIN }
    }
}

impl<X: Copy> Ring<'_, X> {
    /// Lets the ring hold the lines of the windows whose first row is `top`, and writes the place of each tap of the
    /// first window. The rows of windows are asked for from the top down.
    pub(crate) fn advance(&mut self, image: &[X], top: isize, taps: &mut Vec<usize>) -> &[X] {
        let Lines { window, input: [height, width, channels], count, length, before, inside } = self.form;
        let slot = |row: isize| row.rem_euclid(*count as isize) as usize * length;
        let end = top + *count as isize;
        for row in self.next.max(top)..end {
            let line = &mut self.values[slot(row)..][..*length];
            let Some(row) = usize::try_from(row).ok().filter(|row| row < height) else {
                line.fill(self.padding);
                continue;
            };
            let (left, line) = line.split_at_mut(before * channels);
            let (middle, right) = line.split_at_mut(inside * channels);
            left.fill(self.padding);
            middle.copy_from_slice(&image[row * width * channels..][..middle.len()]);
            right.fill(self.padding);
        }
        self.next = end;
        let [rows, columns] = window.kernel.map(|k| k as usize);
        let [down, across] = window.dilation.map(|d| d as usize);
        taps.clear();
        for row in 0..rows {
            let line = slot(top + (row * down) as isize);
            taps.extend((0..columns).map(|column| line + column * across * channels));
        }
        self.values
    }
}
