//! The window that a convolution or pooling slides over an image.

use serde::{Deserialize, Serialize};

/// Size, stride, padding and dilation of a sliding window, each as rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Taps.
    pub kernel: [u32; 2],
    /// Steps between outputs.
    pub stride: [u32; 2],
    /// Padding above and left of the image; what is below and right follows from the output's size.
    pub before: [u32; 2],
    /// Distance of neighbouring taps.
    pub dilation: [u32; 2],
}

impl Window {
    /// A window of one value, as a fully connected layer has it.
    pub const POINT: Window = Window { kernel: [1, 1], stride: [1, 1], before: [0, 0], dilation: [1, 1] };

    /// Number of taps.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] as usize * self.kernel[1] as usize
    }

    /// Whether each output sees exactly the input at its own place.
    pub(crate) fn is_point(&self) -> bool {
        *self == Window::POINT
    }

    /// First input index, before or inside the image, that output `at` sees along `axis` (0 rows, 1 columns).
    pub(crate) fn start(&self, axis: usize, at: usize) -> isize {
        (at * self.stride[axis] as usize) as isize - self.before[axis] as isize
    }

    /// Input index of `tap` for output `at` along `axis`, where it lies inside `extent`.
    pub(crate) fn source(&self, axis: usize, at: usize, tap: usize, extent: usize) -> Option<usize> {
        let index = self.start(axis, at) + (tap * self.dilation[axis] as usize) as isize;
        usize::try_from(index).ok().filter(|&i| i < extent)
    }

    /// Outputs along `axis` all of whose taps lie inside `extent`, as a half-open range within `outputs`.
    pub(crate) fn inner(&self, axis: usize, extent: usize, outputs: usize) -> std::ops::Range<usize> {
        let stride = self.stride[axis] as usize;
        let reach = (self.kernel[axis] as usize - 1) * self.dilation[axis] as usize;
        let first = (self.before[axis] as usize).div_ceil(stride).min(outputs);
        let end = match (extent + self.before[axis] as usize).checked_sub(reach + 1) {
            Some(last) => (last / stride + 1).min(outputs),
            None => first,
        };
        first..end.max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn inner_outputs_have_every_tap_inside() {
        for (kernel, stride, before, dilation) in
            [(3, 1, 1, 1), (3, 2, 1, 1), (5, 2, 2, 1), (3, 1, 2, 2), (1, 2, 0, 1), (7, 3, 0, 1)]
        {
            let window =
                Window { kernel: [kernel; 2], stride: [stride; 2], before: [before; 2], dilation: [dilation; 2] };
            for extent in 1..20 {
                let outputs = 12;
                let inner = window.inner(0, extent, outputs);
                for at in 0..outputs {
                    let all = (0..kernel as usize).all(|t| window.source(0, at, t, extent).is_some());
                    assert_eq!(inner.contains(&at), all, "{window:?}, extent {extent}, output {at}");
                }
            }
        }
    }
}
