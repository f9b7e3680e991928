//! Convolutions and fully connected layers as products of rows of windows with packed columns of weights.

use std::ops::Range;

use crate::columns::{Columns, Integers};
use crate::gather::Gather;
use crate::kernel::{Finish, Kernels, Operands, Shape, Strip, Tile};
use crate::program::{Bounds, Product, Tensor};

/// Most rows that are gathered and multiplied together: their windows stay in the cache while the weights pass by.
const BLOCK: usize = 56;

/// Bytes of widened rows and their results up to which more rows are taken.
const SMALL: usize = 20_000;

/// Longest piece of a row that is multiplied at once, so that a block of columns stays in the first cache.
pub(crate) const PIECE: usize = 768;

/// A product with its weights packed for one kind of processor.
pub(crate) struct Multiplication {
    kernels: &'static Kernels,
    gather: Gather,
    shape: Shape,
    groups: usize,
    /// Output positions.
    positions: usize,
    /// Output channels of one group.
    width: usize,
    /// Values of one window.
    length: usize,
    /// Distance of gathered windows: the length, filled up as the kernel needs it.
    stride: usize,
    bounds: Bounds,
    columns: Columns,
}

/// Memory that products share, one after the other.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) bytes: Vec<i8>,
    pub(crate) wide: Vec<i16>,
    pub(crate) reals: Vec<f32>,
    pub(crate) sums: Vec<i32>,
    pub(crate) real_sums: Vec<f32>,
}

/// Makes a part of the scratch hold `to` values.
pub(crate) fn grow<T: Copy + Default>(buffer: &mut Vec<T>, to: usize) {
    buffer.resize(buffer.len().max(to), T::default());
}

/// Where the result of a product goes.
pub(crate) enum Target<'a> {
    Bytes(&'a mut [i8], i8),
    Reals(&'a mut [f32]),
}

impl Multiplication {
    pub(crate) fn new(kernels: &'static Kernels, product: &Product, input: &Tensor, output: &Tensor) -> Multiplication {
        let groups = product.groups as usize;
        let width = output.channels as usize / groups;
        let length = product.window.taps() * (input.channels as usize / groups);
        let (shape, columns) = Columns::new(kernels, product, input, [length, width], output.positions());
        Multiplication {
            kernels,
            gather: Gather::new(product.window, input, output),
            shape,
            groups,
            positions: output.positions(),
            width,
            length,
            stride: length.next_multiple_of(shape.fill),
            bounds: product.bounds,
            columns,
        }
    }

    /// Makes the scratch large enough for this product.
    pub(crate) fn reserve(&self, scratch: &mut Scratch) {
        let rows = self.block().min(self.positions) * self.stride;
        let tile = self.block() * self.shape.columns;
        // Long rows are multiplied piece by piece, and all their sums are kept until the last piece.
        let sums = if self.stride <= PIECE { tile } else { self.width.div_ceil(self.shape.columns) * tile };
        match self.columns {
            Columns::Reals { .. } => {
                grow(&mut scratch.reals, rows);
                grow(&mut scratch.real_sums, sums);
            }
            Columns::Wide(..) | Columns::Single(..) => {
                grow(&mut scratch.bytes, rows);
                grow(&mut scratch.wide, rows);
                grow(&mut scratch.sums, sums);
                grow(&mut scratch.real_sums, tile);
            }
            Columns::Narrow(..) => {
                grow(&mut scratch.bytes, rows);
                grow(&mut scratch.sums, sums);
                grow(&mut scratch.real_sums, tile);
            }
        }
    }

    /// Most rows that are multiplied together: whole panels of the kernel.
    fn block(&self) -> usize {
        BLOCK.max(SMALL / (2 * self.stride + self.width)) / self.shape.rows * self.shape.rows
    }

    /// Output positions: those of a part can be computed apart from all others.
    pub(crate) fn positions(&self) -> Range<usize> {
        0..self.positions
    }

    /// Computes the product of bytes at `positions`, which are all that `target` holds.
    pub(crate) fn of_bytes(
        &self,
        positions: &Range<usize>,
        input: &[i8],
        scratch: &mut Scratch,
        mut target: Target<'_>,
    ) {
        let Scratch { bytes, wide, sums, real_sums, .. } = scratch;
        for (group, channels, block) in self.blocks(positions) {
            let rows = block.len();
            let direct = self.is_direct() && self.stride == self.length;
            let left = if direct {
                &input[block.start * self.length..][..rows * self.length]
            } else {
                let left = &mut bytes[..rows * self.stride];
                self.gather.rows(input, self.columns.padding(), &channels, block.clone(), self.stride, left);
                left
            };
            let block = block.start - positions.start..block.end - positions.start;
            match &self.columns {
                Columns::Wide(integers, tile, strip) => {
                    let left = self.widened(left, wide);
                    self.integers(integers, (*tile, *strip), left, group, block, sums, real_sums, &mut target);
                }
                Columns::Single(integers, tile) => {
                    let left = self.widened(left, wide);
                    self.integers(integers, (*tile, None), left, group, block, sums, real_sums, &mut target);
                }
                Columns::Narrow(integers, tile, strip) => {
                    self.integers(integers, (*tile, *strip), left, group, block, sums, real_sums, &mut target);
                }
                Columns::Reals { .. } => unreachable!("checked with the program"),
            }
        }
    }

    /// Rows as 16 bits.
    fn widened<'a>(&self, rows: &[i8], wide: &'a mut [i16]) -> &'a [i16] {
        let wide = &mut wide[..rows.len()];
        // SAFETY: the table belongs to a processor that this machine is.
        #[expect(unsafe_code, reason = "calls a kernel of this processor")]
        unsafe {
            (self.kernels.widen)(rows, wide);
        }
        wide
    }

    /// Computes the product of reals at `positions`, which are all that `out` holds.
    pub(crate) fn of_reals(&self, positions: &Range<usize>, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let Columns::Reals { packed, bias } = &self.columns else { unreachable!("checked with the program") };
        let Scratch { reals, real_sums, .. } = scratch;
        let ones = [1.0; 64];
        for (group, channels, block) in self.blocks(positions) {
            let rows = block.len();
            let left = if self.is_direct() {
                &input[block.start * self.length..][..rows * self.length]
            } else {
                let left = &mut reals[..rows * self.stride];
                self.gather.rows(input, 0.0, &channels, block.clone(), self.stride, left);
                left
            };
            let block = block.start - positions.start..block.end - positions.start;
            let (width, stride) = (self.shape.columns, self.width * self.groups);
            let Bounds { low, high } = self.bounds;
            if let (Some(strip), true) = (self.kernels.real_strip, self.stride <= PIECE) {
                self.strips(packed, group, |right, columns, first, at| {
                    let start = Some(&bias[at..][..width]);
                    let operands = Operands { left, stride: self.stride, rows, right, length: self.stride, start };
                    // SAFETY: the table belongs to a processor that this machine is.
                    #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                    unsafe {
                        strip(&operands, [low, high], [columns, stride], &mut out[block.start * stride + first..]);
                    }
                });
                continue;
            }
            self.tiles(self.kernels.reals, left, packed, bias, group, block, real_sums, |sums, tile| {
                let Finished { rows, columns, .. } = *tile;
                let finish = Finish { width, rows, columns, factors: &ones, low, high, zero: 0, stride };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    (self.kernels.clamp)(sums, &finish, &mut out[tile.place..]);
                }
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one scratch, borrowed apart")]
    fn integers<L: Copy, R>(
        &self,
        integers: &Integers<R>,
        (tile, strip): (Tile<L, R, i32>, Option<Strip<L, R>>),
        left: &[L],
        group: usize,
        block: Range<usize>,
        sums: &mut [i32],
        reals: &mut [f32],
        target: &mut Target<'_>,
    ) {
        let (width, stride) = (self.shape.columns, self.width * self.groups);
        if let (Some(strip), Target::Bytes(out, zero), true) = (strip, &mut *target, self.stride <= PIECE) {
            let Bounds { low, high } = self.bounds;
            let (rows, zero) = (block.len(), *zero);
            self.strips(&integers.packed, group, |right, columns, first, packed| {
                let start = Some(&integers.bias[packed..][..width]);
                let operands = Operands { left, stride: self.stride, rows, right, length: self.stride, start };
                let factors = &integers.factors[packed..][..width];
                let finish = Finish { width, rows, columns, factors, low, high, zero, stride };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    strip(&operands, &finish, &mut out[block.start * stride + first..]);
                }
            });
            return;
        }
        self.tiles(tile, left, &integers.packed, &integers.bias, group, block, sums, |sums, tile| {
            let Bounds { low, high } = self.bounds;
            let factors = &integers.factors[tile.packed..][..width];
            let Finished { rows, columns, .. } = *tile;
            let mut finish = Finish { width, rows, columns, factors, low, high, zero: 0, stride };
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            match target {
                Target::Bytes(out, zero) => {
                    finish.zero = *zero;
                    unsafe { (self.kernels.requantise)(sums, &finish, &mut out[tile.place..]) }
                }
                Target::Reals(out) => {
                    let reals = &mut reals[..sums.len()];
                    reals.iter_mut().zip(sums).for_each(|(real, &sum)| *real = sum as f32);
                    unsafe { (self.kernels.clamp)(reals, &finish, &mut out[tile.place..]) }
                }
            }
        });
    }

    /// Calls `run` for each block of columns of a group with the packed block, the columns that count, the first output
    /// channel, and the place of the block's bias.
    fn strips<E>(&self, packed: &[E], group: usize, mut run: impl FnMut(&[E], usize, usize, usize)) {
        let Shape { columns, .. } = self.shape;
        let blocks = self.width.div_ceil(columns);
        let size = self.stride * columns;
        for at in 0..blocks {
            let packed = &packed[(group * blocks + at) * size..][..size];
            let counted = columns.min(self.width - at * columns);
            run(packed, counted, group * self.width + at * columns, (group * blocks + at) * columns);
        }
    }

    /// Multiplies one block of rows with all columns of a group and hands on the finished sums of each tile.
    #[expect(clippy::too_many_arguments, reason = "the parts of one scratch, borrowed apart")]
    fn tiles<L: Copy, R, S: Copy>(
        &self,
        multiply: Tile<L, R, S>,
        left: &[L],
        packed: &[R],
        bias: &[S],
        group: usize,
        block: Range<usize>,
        sums: &mut [S],
        mut finish: impl FnMut(&[S], &Finished),
    ) {
        let Shape { columns, .. } = self.shape;
        let rows = block.len();
        let blocks = self.width.div_ceil(columns);
        let column = self.stride * columns;
        let packed = &packed[group * blocks * column..][..blocks * column];
        let bias = &bias[group * blocks * columns..][..blocks * columns];
        let size = self.block() * columns;
        // The weights of one row are needed once: in one go, memory is read from end to end.
        let most = if rows == 1 { self.stride } else { PIECE };
        let pieces = self.stride.div_ceil(most);
        for piece in 0..pieces {
            let start = piece * most;
            let length = most.min(self.stride - start);
            let left = &left[start..];
            for at in 0..blocks {
                let right = &packed[at * column + start * columns..][..length * columns];
                let slot = if pieces == 1 { 0 } else { at };
                let sums = &mut sums[slot * size..][..size];
                let start = (piece == 0).then(|| &bias[at * columns..][..columns]);
                let operands = Operands { left, stride: self.stride, rows, right, length, start };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    multiply(&operands, sums);
                }
                if piece + 1 == pieces {
                    let channel = group * self.width + at * columns;
                    let place = block.start * self.width * self.groups + channel;
                    let counted = columns.min(self.width - at * columns);
                    let packed = (group * blocks + at) * columns;
                    finish(&sums[..rows * columns], &Finished { place, packed, rows, columns: counted });
                }
            }
        }
    }

    /// Group, its input channels, and output positions of each block.
    fn blocks(&self, positions: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> + use<> {
        let depth = self.gather.input[2] / self.groups;
        let (positions, most) = (positions.clone(), self.block());
        (0..self.groups).flat_map(move |group| {
            let end = positions.end;
            (positions.clone().step_by(most))
                .map(move |first| (group, group * depth..(group + 1) * depth, first..end.min(first + most)))
        })
    }

    /// Whether the input's pixels are the rows of the product.
    fn is_direct(&self) -> bool {
        self.gather.window.is_point() && self.groups == 1
    }
}

/// Finished sums: where their first result goes, the place of their first packed column, and how many of them count.
#[derive(Clone, Copy)]
struct Finished {
    place: usize,
    packed: usize,
    rows: usize,
    columns: usize,
}
