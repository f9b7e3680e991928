//! Convolutions of bytes whose windows are read where they lie: the lines that a row of windows sees are widened and
//! padded once, and each line of a window is then one run of values. Nothing is gathered.

use std::ops::Range;

use crate::kernel::{Finish, Kernels, Slide, SlidingStrip};
use crate::packing::{one_each, pack, padded, without_excess};
use crate::product::{PIECE, Scratch, grow};
use crate::program::{Bounds, Element, Product, Tensor, Weights};
use crate::window::Window;

/// Most values of all widened lines, so that they stay in the cache.
const MOST: usize = 1 << 15;

/// Most lines of a window.
const TALLEST: usize = 8;

/// A convolution with its weights packed line by line of the window.
pub(crate) struct Sliding {
    kernels: &'static Kernels,
    strip: SlidingStrip,
    window: Window,
    /// Rows, columns and channels of the input.
    input: [usize; 3],
    /// Rows, columns and channels of the output.
    output: [usize; 3],
    /// Columns of padding, and then of the image, that a widened line holds.
    before: usize,
    inside: usize,
    /// Values of a widened line.
    line: usize,
    /// Values of one line of a window, filled up as the kernel needs it.
    length: usize,
    bounds: Bounds,
    packed: Vec<i16>,
    /// By packed column; what the zero point of the input adds is taken off.
    bias: Vec<i32>,
    /// By packed column.
    factors: Vec<f32>,
    padding: i8,
    zero: i8,
}

impl Sliding {
    /// The convolution, where this processor has a kernel for it and its lines are short enough.
    pub(crate) fn new(
        kernels: &'static Kernels,
        product: &Product,
        input: &Tensor,
        output: &Tensor,
    ) -> Option<Sliding> {
        let strip = kernels.sliding?;
        let Weights::Bytes { values, bias, factors } = &product.weights else { return None };
        let (Element::Byte { zero: padding }, Element::Byte { zero }) = (input.element, output.element) else {
            return None;
        };
        let window = product.window;
        let [rows, columns] = window.kernel.map(|k| k as usize);
        let (channels, width) = (input.channels as usize, output.channels as usize);
        if product.groups != 1 || window.dilation != [1, 1] || window.is_point() || rows > TALLEST {
            return None;
        }
        let shape = kernels.shape;
        let run = columns * channels;
        let length = run.next_multiple_of(shape.fill);
        let across = (output.columns as usize - 1) * window.stride[1] as usize + columns;
        if rows * length > PIECE || rows.checked_mul(across)?.checked_mul(channels)? > MOST {
            return None;
        }
        let by_line: Vec<i8> = values
            .chunks_exact(run)
            .flat_map(|line| line.iter().copied().chain(std::iter::repeat_n(0, length - run)))
            .collect();
        let before = (window.before[1] as usize).min(across);
        Some(Sliding {
            kernels,
            strip,
            window,
            input: [input.rows as usize, input.columns as usize, channels],
            output: [output.rows as usize, output.columns as usize, width],
            before,
            inside: (across - before).min(input.columns as usize),
            line: across * channels,
            length,
            bounds: product.bounds,
            packed: pack(&by_line, rows * length, width, shape, i16::from),
            bias: padded(&without_excess(bias, values, rows * run, padding.into()), width, shape.columns),
            factors: padded(&one_each(factors, width), width, shape.columns),
            padding,
            zero,
        })
    }

    /// Lines of a window.
    fn rows(&self) -> usize {
        self.window.kernel[0] as usize
    }

    /// Makes the scratch large enough. What fills a window's line up may be read behind the last line.
    pub(crate) fn reserve(&self, scratch: &mut Scratch) {
        grow(&mut scratch.wide, self.rows() * self.line + self.length);
    }

    /// Rows of the output: those of a part can be computed apart from all others.
    pub(crate) fn lines(&self) -> Range<usize> {
        0..self.output[0]
    }

    /// Computes the rows `lines`, which are all that `out` holds.
    pub(crate) fn of_bytes(&self, lines: &Range<usize>, input: &[i8], scratch: &mut Scratch, out: &mut [i8]) {
        let [_, columns, width] = self.output;
        let wide = &mut scratch.wide[..self.rows() * self.line + self.length];
        let block = self.kernels.shape.columns;
        let size = self.rows() * self.length * block;
        let Bounds { low, high } = self.bounds;
        let mut next = isize::MIN;
        for (y, out) in lines.clone().zip(out.chunks_exact_mut(columns * width)) {
            let top = self.window.start(0, y);
            self.widen(next.max(top)..top + self.rows() as isize, input, wide);
            next = top + self.rows() as isize;
            let mut tops = [0; TALLEST];
            for (row, place) in tops.iter_mut().enumerate().take(self.rows()) {
                *place = self.slot(top + row as isize);
            }
            for (at, right) in self.packed.chunks_exact(size).enumerate() {
                let first = at * block;
                let slide = Slide {
                    lines: wide,
                    tops: &tops[..self.rows()],
                    step: self.window.stride[1] as usize * self.input[2],
                    right,
                    length: self.length,
                    bias: &self.bias[first..][..block],
                };
                let finish = Finish {
                    width: block,
                    rows: columns,
                    columns: block.min(width - first),
                    factors: &self.factors[first..][..block],
                    low,
                    high,
                    zero: self.zero,
                    stride: width,
                };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    (self.strip)(&slide, &finish, &mut out[first..]);
                }
            }
        }
    }

    /// Where the line of an image's row begins.
    fn slot(&self, row: isize) -> usize {
        row.rem_euclid(self.rows() as isize) as usize * self.line
    }

    /// Writes the lines of these rows, which may lie outside of the image.
    fn widen(&self, rows: Range<isize>, input: &[i8], wide: &mut [i16]) {
        let [height, width, channels] = self.input;
        let padding = i16::from(self.padding);
        for row in rows {
            let line = &mut wide[self.slot(row)..][..self.line];
            let Some(row) = usize::try_from(row).ok().filter(|&row| row < height) else {
                line.fill(padding);
                continue;
            };
            let (left, line) = line.split_at_mut(self.before * channels);
            let (middle, right) = line.split_at_mut(self.inside * channels);
            left.fill(padding);
            right.fill(padding);
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                (self.kernels.widen)(&input[row * width * channels..][..middle.len()], middle);
            }
        }
    }
}
