//! Convolutions and fully connected layers as products of rows of windows with packed columns of weights.

use std::ops::Range;

use crate::gather::Gather;
use crate::kernel::{Bytes, Finish, Kernels, Operands, Shape, Tile};
use crate::program::{Bounds, Element, Product, Tensor, Weights};

/// Most rows that are gathered and multiplied together: their windows stay in the cache while the weights pass by.
const BLOCK: usize = 56;

/// Longest piece of a row that is multiplied at once, so that a block of columns stays in the first cache.
const PIECE: usize = 768;

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

/// Packed weights, group by group.
enum Columns {
    Wide(Integers<i16>, Tile<i16, i16, i32>),
    Narrow(Integers<i8>, Tile<i8, i8, i32>),
    Reals { packed: Vec<f32>, bias: Vec<f32> },
}

struct Integers<E> {
    packed: Vec<E>,
    /// By packed column; what the zero point of the input adds is taken off.
    bias: Vec<i32>,
    factors: Vec<f32>,
    padding: i8,
}

/// Memory that products share, one after the other.
#[derive(Default)]
pub(crate) struct Scratch {
    bytes: Vec<i8>,
    wide: Vec<i16>,
    reals: Vec<f32>,
    sums: Vec<i32>,
    real_sums: Vec<f32>,
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
        let (shape, columns) = match &product.weights {
            Weights::Bytes { values, bias, factors } => {
                let Element::Byte { zero } = input.element else { unreachable!("checked with the program") };
                let bias: Vec<i32> = values
                    .chunks_exact(length)
                    .zip(bias)
                    .map(|(w, b)| b - i32::from(zero) * w.iter().map(|&w| i32::from(w)).sum::<i32>())
                    .collect();
                let factors = if factors.len() == 1 { vec![factors[0]; bias.len()] } else { factors.clone() };
                let shape = kernels.shape;
                let bias = padded(&bias, width, shape.columns);
                let columns = match kernels.bytes {
                    Bytes::Wide(tile) => {
                        let packed = pack(values, length, width, shape, i16::from);
                        Columns::Wide(Integers { packed, bias, factors, padding: zero }, tile)
                    }
                    Bytes::Narrow(kernel) => {
                        let packed = pack(values, length, width, shape, |w| w);
                        Columns::Narrow(Integers { packed, bias, factors, padding: zero }, kernel.of(values))
                    }
                };
                (shape, columns)
            }
            Weights::Reals { values, bias } => {
                let shape = kernels.real_shape;
                let packed = pack(values, length, width, shape, |w| w);
                (shape, Columns::Reals { packed, bias: padded(bias, width, shape.columns) })
            }
        };
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
        fn grow<T: Copy + Default>(buffer: &mut Vec<T>, to: usize) {
            buffer.resize(buffer.len().max(to), T::default());
        }
        let rows = self.block().min(self.positions) * self.stride;
        let tile = self.block() * self.shape.columns;
        // Long rows are multiplied piece by piece, and all their sums are kept until the last piece.
        let sums = if self.stride <= PIECE { tile } else { self.width.div_ceil(self.shape.columns) * tile };
        match self.columns {
            Columns::Reals { .. } => {
                grow(&mut scratch.reals, rows);
                grow(&mut scratch.real_sums, sums);
            }
            Columns::Wide(..) => {
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
        BLOCK / self.shape.rows * self.shape.rows
    }

    /// Computes the product of bytes.
    pub(crate) fn of_bytes(&self, input: &[i8], scratch: &mut Scratch, mut target: Target<'_>) {
        let Scratch { bytes, wide, sums, real_sums, .. } = scratch;
        for (group, channels, block) in self.blocks() {
            let rows = block.len();
            let direct = self.is_direct() && self.stride == self.length;
            let left = if direct {
                &input[block.start * self.length..][..rows * self.length]
            } else {
                let left = &mut bytes[..rows * self.stride];
                self.gather.rows(input, self.padding(), &channels, block.clone(), self.stride, left);
                left
            };
            match &self.columns {
                Columns::Wide(integers, tile) => {
                    let wide = &mut wide[..rows * self.stride];
                    // SAFETY: the table belongs to a processor that this machine is.
                    #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                    unsafe {
                        (self.kernels.widen)(left, wide);
                    }
                    self.integers(integers, *tile, wide, group, block, sums, real_sums, &mut target);
                }
                Columns::Narrow(integers, tile) => {
                    self.integers(integers, *tile, left, group, block, sums, real_sums, &mut target);
                }
                Columns::Reals { .. } => unreachable!("checked with the program"),
            }
        }
    }

    /// Computes the product of reals.
    pub(crate) fn of_reals(&self, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let Columns::Reals { packed, bias } = &self.columns else { unreachable!("checked with the program") };
        let Scratch { reals, real_sums, .. } = scratch;
        let ones = [1.0; 64];
        for (group, channels, block) in self.blocks() {
            let rows = block.len();
            let left = if self.is_direct() {
                &input[block.start * self.length..][..rows * self.length]
            } else {
                let left = &mut reals[..rows * self.stride];
                self.gather.rows(input, 0.0, &channels, block.clone(), self.stride, left);
                left
            };
            self.tiles(self.kernels.reals, left, packed, bias, group, block, real_sums, |sums, tile| {
                let Bounds { low, high } = self.bounds;
                let factors = &ones[..tile.columns];
                let (width, stride) = (self.shape.columns, self.width * self.groups);
                let finish = Finish { width, rows: tile.rows, factors, low, high, zero: 0, stride };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    (self.kernels.clamp)(sums, &finish, &mut out[tile.place..]);
                }
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one scratch, borrowed apart")]
    fn integers<E: Copy>(
        &self,
        integers: &Integers<E>,
        tile: Tile<E, E, i32>,
        left: &[E],
        group: usize,
        block: Range<usize>,
        sums: &mut [i32],
        reals: &mut [f32],
        target: &mut Target<'_>,
    ) {
        self.tiles(tile, left, &integers.packed, &integers.bias, group, block, sums, |sums, tile| {
            let Bounds { low, high } = self.bounds;
            let factors = &integers.factors[tile.channel..][..tile.columns];
            let (width, stride) = (self.shape.columns, self.width * self.groups);
            let mut finish = Finish { width, rows: tile.rows, factors, low, high, zero: 0, stride };
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

    /// Multiplies one block of rows with all columns of a group and hands on the finished sums of each tile.
    #[expect(clippy::too_many_arguments, reason = "the parts of one scratch, borrowed apart")]
    fn tiles<L: Copy, S: Copy>(
        &self,
        multiply: Tile<L, L, S>,
        left: &[L],
        packed: &[L],
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
        let pieces = self.stride.div_ceil(PIECE);
        for piece in 0..pieces {
            let start = piece * PIECE;
            let length = PIECE.min(self.stride - start);
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
                    finish(&sums[..rows * columns], &Finished { place, channel, rows, columns: counted });
                }
            }
        }
    }

    /// Group, its input channels, and output positions of each block.
    fn blocks(&self) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> + use<> {
        let depth = self.gather.input[2] / self.groups;
        let (positions, most) = (self.positions, self.block());
        (0..self.groups).flat_map(move |group| {
            (0..positions)
                .step_by(most)
                .map(move |first| (group, group * depth..(group + 1) * depth, first..positions.min(first + most)))
        })
    }

    /// Whether the input's pixels are the rows of the product.
    fn is_direct(&self) -> bool {
        self.gather.window.is_point() && self.groups == 1
    }

    fn padding(&self) -> i8 {
        match &self.columns {
            Columns::Wide(integers, _) => integers.padding,
            Columns::Narrow(integers, _) => integers.padding,
            Columns::Reals { .. } => 0,
        }
    }
}

/// Finished sums: where their first result goes, their first output channel, and how many of them count.
struct Finished {
    place: usize,
    channel: usize,
    rows: usize,
    columns: usize,
}

/// Weights by group, block of columns, piece of `depth` values, column, filled up to the shape's columns and rows.
fn pack<W: Copy, P: Default + Copy>(
    weights: &[W],
    length: usize,
    width: usize,
    shape: Shape,
    convert: impl Fn(W) -> P,
) -> Vec<P> {
    let Shape { columns, depth, fill, .. } = shape;
    let stride = length.next_multiple_of(fill);
    let mut packed = Vec::with_capacity(weights.len() / length / width * width.next_multiple_of(columns) * stride);
    for group in weights.chunks_exact(length * width) {
        for first in (0..width).step_by(columns) {
            for start in (0..stride).step_by(depth) {
                for column in first..first + columns {
                    for at in start..stride.min(start + depth) {
                        let inside = column < width && at < length;
                        packed.push(if inside { convert(group[column * length + at]) } else { P::default() });
                    }
                }
            }
        }
    }
    packed
}

/// One value per column, each group filled up to whole blocks of columns.
fn padded<T: Copy + Default>(values: &[T], width: usize, columns: usize) -> Vec<T> {
    values
        .chunks_exact(width)
        .flat_map(|group| {
            let fill = width.next_multiple_of(columns) - width;
            group.iter().copied().chain(std::iter::repeat_n(T::default(), fill))
        })
        .collect()
}
