//! The sum over a window, as the formula has it.

use shelfwatch_network::Window;

/// Values of an image by row, column, channel.
pub(crate) struct Image<'a, T> {
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) values: &'a [T],
}

/// Outputs along an axis, so that each window begins inside the image.
pub(crate) fn extent(window: &Window, axis: usize, input: usize) -> usize {
    let before = window.before[axis] as usize;
    (input + before - 1) / window.stride[axis] as usize + 1
}

/// `Σ w · (x − zero) + bias`; what lies outside of the image counts as the zero point.
pub(crate) fn convolve<T: Copy + Into<f64>, B: Copy + Into<f64>>(
    image: &Image<'_, T>,
    zero: T,
    window: &Window,
    groups: usize,
    outputs: usize,
    weights: &[T],
    bias: &[B],
) -> Vec<f64> {
    let [height, width] = image.size;
    let [rows, columns] = [0, 1].map(|axis| extent(window, axis, image.size[axis]));
    let [kernel_rows, kernel_columns] = window.kernel.map(|k| k as usize);
    let depth = image.channels / groups;
    let mut sums = vec![];
    for y in 0..rows {
        for x in 0..columns {
            for o in 0..outputs {
                let group = o / (outputs / groups);
                let mut sum: f64 = bias[o].into();
                for ky in 0..kernel_rows {
                    for kx in 0..kernel_columns {
                        let row = (y * window.stride[0] as usize + ky * window.dilation[0] as usize)
                            .checked_sub(window.before[0] as usize);
                        let column = (x * window.stride[1] as usize + kx * window.dilation[1] as usize)
                            .checked_sub(window.before[1] as usize);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        if row >= height || column >= width {
                            continue;
                        }
                        for c in 0..depth {
                            let value: f64 =
                                image.values[(row * width + column) * image.channels + group * depth + c].into();
                            let weight: f64 =
                                weights[((o * kernel_rows + ky) * kernel_columns + kx) * depth + c].into();
                            sum += weight * (value - zero.into());
                        }
                    }
                }
                sums.push(sum);
            }
        }
    }
    sums
}
