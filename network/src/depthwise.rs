//! Convolutions of each channel with its own weights, computed without gathering the windows.

use std::ops::Range;

use crate::gather::Gather;
use crate::kernel::paired::Pair;
use crate::kernel::{Convolve, DepthwiseBytes, DepthwiseRow, Kernels};
use crate::lines::Lines;
use crate::packing::{one_each, without_excess};
use crate::paired::Paired;
use crate::program::{Bounds, Element, Product, Tensor, Weights};

/// A depthwise convolution with its weights packed for one kind of processor.
pub(crate) struct Depthwise {
    kernels: &'static Kernels,
    gather: Gather,
    /// Rows and columns of the output.
    output: [usize; 2],
    channels: usize,
    bounds: Bounds,
    weights: Packed,
    /// Place of each tap relative to the window's first, in the image and in a gathered window.
    inside: Vec<usize>,
    gathered: Vec<usize>,
    /// Padded lines, where they are few and short enough.
    lines: Option<Lines>,
}

enum Packed {
    Bytes { taps: Taps, bias: Vec<i32>, factors: Vec<f32>, padding: i8, zero: i8 },
    Paired(Paired),
    Reals { weights: Vec<f32>, bias: Vec<f32> },
}

/// Integer weights with the kernel that reads them.
enum Taps {
    Wide(Vec<i16>, Convolve<i8, i16, i32>),
    Narrow(Vec<i8>, Convolve<i8, i8, i32>),
}

/// Memory for one gathered window, some padded lines or some interleaved ones, and for the places of the taps.
#[derive(Default)]
pub(crate) struct Windows {
    pairs: Vec<Pair>,
    bytes: Vec<i8>,
    reals: Vec<f32>,
    taps: Vec<usize>,
}

impl Depthwise {
    /// The convolution, where each output channel sees just the input channel of its number.
    pub(crate) fn new(
        kernels: &'static Kernels,
        product: &Product,
        input: &Tensor,
        output: &Tensor,
    ) -> Option<Depthwise> {
        if product.groups != input.channels || output.channels != input.channels || input.channels == 1 {
            return None;
        }
        let channels = input.channels as usize;
        let taps = product.window.taps();
        let weights = match (&product.weights, input.element, output.element) {
            (Weights::Bytes { values, bias, factors }, Element::Byte { zero: padding }, Element::Byte { zero }) => {
                let bias = without_excess(bias, values, taps, padding.into());
                let paired = match kernels.depthwise {
                    DepthwiseBytes::Paired { loops, .. } => Paired::new(loops, product, &bias, input, output),
                    _ => None,
                };
                if let Some(paired) = paired {
                    Packed::Paired(paired)
                } else {
                    let by_tap = transposed(values, taps, channels);
                    let factors = one_each(factors, channels);
                    let taps = match kernels.depthwise {
                        DepthwiseBytes::Wide { pack, convolve } | DepthwiseBytes::Paired { pack, convolve, .. } => {
                            Taps::Wide(pack(&by_tap, taps, channels), convolve)
                        }
                        DepthwiseBytes::Narrow(kernel) => {
                            let convolve = kernel.of(&by_tap);
                            Taps::Narrow(by_tap, convolve)
                        }
                    };
                    Packed::Bytes { taps, bias, factors, padding, zero }
                }
            }
            (Weights::Reals { values, bias }, Element::Real, Element::Real) => {
                Packed::Reals { weights: transposed(values, taps, channels), bias: bias.clone() }
            }
            _ => return None,
        };
        let window = product.window;
        let [rows, columns] = window.kernel.map(|k| k as usize);
        let [down, right] = window.dilation.map(|d| d as usize);
        let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x)));
        Some(Depthwise {
            kernels,
            gather: Gather::new(window, input, output),
            output: [output.rows as usize, output.columns as usize],
            channels,
            bounds: product.bounds,
            weights,
            inside: places.map(|(y, x)| (y * down * input.columns as usize + x * right) * channels).collect(),
            gathered: (0..taps).map(|tap| tap * channels).collect(),
            lines: Lines::new(&window, input, output),
        })
    }

    pub(crate) fn reserve(&self, windows: &mut Windows) {
        if let Packed::Paired(paired) = &self.weights {
            windows.pairs.resize(windows.pairs.len().max(paired.size()), Pair([0; 32]));
            return;
        }
        let size = self.lines.as_ref().map_or(self.gathered.len() * self.channels, Lines::size);
        windows.bytes.resize(windows.bytes.len().max(size), 0);
        windows.reals.resize(windows.reals.len().max(size), 0.0);
        windows.taps.reserve(self.gathered.len());
    }

    /// Rows of the output: those of a part can be computed apart from all others.
    pub(crate) fn lines(&self) -> Range<usize> {
        0..self.output[0]
    }

    /// Computes the rows `lines`, which are all that `out` holds.
    pub(crate) fn of_bytes(&self, lines: &Range<usize>, input: &[i8], windows: &mut Windows, out: &mut [i8]) {
        match &self.weights {
            Packed::Paired(paired) => paired.of_bytes(lines, input, &mut windows.pairs, out),
            Packed::Bytes { taps: Taps::Wide(weights, convolve), .. } => {
                self.integers(lines, input, weights, *convolve, windows, out);
            }
            Packed::Bytes { taps: Taps::Narrow(weights, convolve), .. } => {
                self.integers(lines, input, weights, *convolve, windows, out);
            }
            Packed::Reals { .. } => unreachable!("checked with the program"),
        }
    }

    fn integers<W>(
        &self,
        lines: &Range<usize>,
        input: &[i8],
        weights: &[W],
        convolve: Convolve<i8, W, i32>,
        windows: &mut Windows,
        out: &mut [i8],
    ) {
        let Packed::Bytes { bias, factors, padding, zero, .. } = &self.weights else {
            unreachable!("as in `of_bytes`")
        };
        let Bounds { low, high } = self.bounds;
        let Windows { bytes, taps, .. } = windows;
        self.rows(lines, input, *padding, bytes, taps, out, |input, taps, step, count, out| {
            let channels = self.channels;
            let row =
                DepthwiseRow { input, taps, step, count, channels, weights, bias, factors, low, high, zero: *zero };
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                convolve(&row, out);
            }
        });
    }

    /// The same of reals.
    pub(crate) fn of_reals(&self, lines: &Range<usize>, input: &[f32], windows: &mut Windows, out: &mut [f32]) {
        let Packed::Reals { weights, bias } = &self.weights else { unreachable!("checked with the program") };
        let Bounds { low, high } = self.bounds;
        let Windows { reals, taps, .. } = windows;
        self.rows(lines, input, 0.0, reals, taps, out, |input, taps, step, count, out| {
            let channels = self.channels;
            let row =
                DepthwiseRow { input, taps, step, count, channels, weights, bias, factors: &[], low, high, zero: 0 };
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                (self.kernels.depthwise_real)(&row, out);
            }
        });
    }

    /// Runs each row of outputs: over padded lines where they stay in the cache, else over the image itself, and over
    /// gathered windows at its edges.
    #[expect(clippy::too_many_arguments, reason = "the parts of one scratch, borrowed apart")]
    fn rows<X: Copy, Y>(
        &self,
        outputs: &Range<usize>,
        input: &[X],
        padding: X,
        scratch: &mut [X],
        taps: &mut Vec<usize>,
        out: &mut [Y],
        mut run: impl FnMut(&[X], &[usize], usize, usize, &mut [Y]),
    ) {
        let window = &self.gather.window;
        let [height, width, channels] = self.gather.input;
        let [rows, columns] = self.output;
        let step = window.stride[1] as usize * channels;
        if let Some(lines) = &self.lines {
            let mut ring = lines.ring(scratch, padding);
            for (y, out) in outputs.clone().zip(out.chunks_exact_mut(columns * channels)) {
                let lines = ring.advance(input, window.start(0, y), taps);
                run(lines, taps, step, columns, out);
            }
            return;
        }
        let scratch = &mut scratch[..self.gathered.len() * channels];
        let inner = [window.inner(0, height, rows), window.inner(1, width, columns)];
        for (y, out) in outputs.clone().zip(out.chunks_exact_mut(columns * channels)) {
            let middle = if inner[0].contains(&y) { inner[1].clone() } else { 0..0 };
            for x in (0..columns).filter(|x| !middle.contains(x)) {
                self.gather.row(input, padding, &(0..channels), y * columns + x, scratch);
                run(scratch, &self.gathered, 0, 1, &mut out[x * channels..][..channels]);
            }
            if !middle.is_empty() {
                // Inside the image a window starts at or after its first row and column.
                let top = window.start(0, y).unsigned_abs();
                let left = window.start(1, middle.start).unsigned_abs();
                let first = (top * width + left) * channels;
                taps.clear();
                taps.extend(self.inside.iter().map(|place| first + place));
                run(input, taps, step, middle.len(), &mut out[middle.start * channels..][..middle.len() * channels]);
            }
        }
    }
}

/// Weights by tap and channel from weights by channel and tap.
fn transposed<W: Copy>(weights: &[W], taps: usize, channels: usize) -> Vec<W> {
    (0..taps).flat_map(|tap| (0..channels).map(move |channel| weights[channel * taps + tap])).collect()
}
