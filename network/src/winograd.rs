//! Convolutions of 3 × 3 taps by Winograd's algorithm: 16 products for four outputs instead of 36.
//!
//! Of integers the weights are transformed four times as large, so that they are whole; the sums are then multiples
//! of four, and the results the same to the bit.

use std::ops::Range;

use crate::gather::Gather;
use crate::kernel::winograd::{CHANNELS, Transforms};
use crate::kernel::{Bytes, Finish, Kernels, Operands, Shape, Tile};
use crate::packing::{one_each, pack, padded, without_excess};
use crate::product::{Scratch, Target, grow};
use crate::program::{Bounds, Element, Product, Tensor, Weights};
use crate::window::Window;

/// Tiles of 2 × 2 outputs that are computed together.
const TILES: usize = 48;

/// Fewest channels, in and out, with which it is faster than the sums themselves.
const FEWEST: [usize; 2] = [32, 16];

/// A convolution with its weights transformed and packed for one kind of processor.
pub(crate) struct Winograd {
    kernels: &'static Kernels,
    transforms: &'static Transforms,
    /// What a tile sees: 4 × 4 pixels, two apart from tile to tile.
    gather: Gather,
    /// Rows and columns of the output.
    output: [usize; 2],
    /// Input and output channels.
    channels: usize,
    width: usize,
    bounds: Bounds,
    weights: Packed,
}

enum Packed {
    Bytes { packed: Vec<i16>, bias: Vec<i32>, factors: Vec<f32>, padding: i8, tile: Tile<i16, i16, i32> },
    Reals { packed: Vec<f32>, bias: Vec<f32> },
}

impl Winograd {
    /// The convolution, where the algorithm fits it and is faster.
    pub(crate) fn new(
        kernels: &'static Kernels,
        product: &Product,
        input: &Tensor,
        output: &Tensor,
    ) -> Option<Winograd> {
        let transforms = kernels.winograd?;
        let (channels, width) = (input.channels as usize, output.channels as usize);
        let Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], before } = product.window else { return None };
        let few = channels < FEWEST[0] || width < FEWEST[1];
        if product.groups != 1 || !channels.is_multiple_of(CHANNELS) || few {
            return None;
        }
        let length = 9 * channels;
        let weights = match (&product.weights, kernels.bytes, input.element) {
            (Weights::Bytes { values, bias, factors }, Bytes::Wide(tile, _), Element::Byte { zero }) => {
                let columns = kernels.shape.columns;
                // Sums on the way may wrap; four times the whole sum has to fit.
                let greatest = values
                    .chunks_exact(length)
                    .map(|w| w.iter().map(|&w| u64::from(w.unsigned_abs())).sum::<u64>())
                    .max();
                if greatest? * 4 * 128 >= 1 << 31 {
                    return None;
                }
                Packed::Bytes {
                    packed: packed(values, channels, width, kernels.shape, |w| (4.0 * w) as i16),
                    bias: padded(&without_excess(bias, values, length, zero.into()), width, columns),
                    factors: padded(&one_each(factors, width), width, columns),
                    padding: zero,
                    tile,
                }
            }
            (Weights::Reals { values, bias }, ..) => Packed::Reals {
                packed: packed(values, channels, width, kernels.real_shape, |w| w as f32),
                bias: padded(bias, width, kernels.real_shape.columns),
            },
            _ => return None,
        };
        let tiles = Window { kernel: [4, 4], stride: [2, 2], before, dilation: [1, 1] };
        let places = Tensor { rows: output.rows.div_ceil(2), columns: output.columns.div_ceil(2), ..*output };
        Some(Winograd {
            kernels,
            transforms,
            gather: Gather::new(tiles, input, &places),
            output: [output.rows as usize, output.columns as usize],
            channels,
            width,
            bounds: product.bounds,
            weights,
        })
    }

    /// Makes the scratch large enough for this product.
    pub(crate) fn reserve(&self, scratch: &mut Scratch) {
        let windows = 16 * self.tiles() * self.channels;
        match &self.weights {
            Packed::Bytes { .. } => {
                grow(&mut scratch.bytes, windows);
                grow(&mut scratch.wide, windows);
                grow(&mut scratch.sums, self.sums(self.kernels.shape));
                grow(&mut scratch.real_sums, 4 * self.tiles() * self.kernels.shape.columns);
            }
            Packed::Reals { .. } => {
                grow(&mut scratch.reals, 2 * windows);
                grow(&mut scratch.real_sums, self.sums(self.kernels.real_shape));
            }
        }
    }

    /// Most tiles that are computed together.
    fn tiles(&self) -> usize {
        TILES.min(self.gather.columns * self.lines().len()).next_multiple_of(self.kernels.shape.rows)
    }

    /// Sums of 16 places, and of four outputs, that are kept at the same time.
    fn sums(&self, shape: Shape) -> usize {
        (20 * self.tiles() + shape.rows) * shape.columns
    }

    /// Lines of tiles, two rows of the output each: those of a part can be computed apart from all others.
    pub(crate) fn lines(&self) -> Range<usize> {
        0..self.output[0].div_ceil(2)
    }

    /// The tiles that are computed together: whole panels of the kernels, about the same number each time.
    fn blocks(&self, lines: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let [first, end] = [lines.start, lines.end].map(|line| line * self.gather.columns);
        let blocks = (end - first).div_ceil(TILES).max(1);
        let tiles = (end - first).div_ceil(blocks).next_multiple_of(self.kernels.shape.rows).min(self.tiles());
        (first..end).step_by(tiles.max(1)).map(move |first| first..end.min(first + tiles))
    }

    /// Results before the first of these lines.
    fn before(&self, lines: &Range<usize>) -> usize {
        2 * lines.start * self.output[1] * self.width
    }

    /// Computes the product of bytes at `lines`, which are all that `target` holds.
    pub(crate) fn of_bytes(&self, lines: &Range<usize>, input: &[i8], scratch: &mut Scratch, mut target: Target<'_>) {
        let Packed::Bytes { packed, bias, factors, padding, tile } = &self.weights else {
            unreachable!("checked with the program")
        };
        let Scratch { bytes, wide, sums, real_sums, .. } = scratch;
        let shape = self.kernels.shape;
        for block in self.blocks(lines) {
            let size = 16 * block.len() * self.channels;
            let (windows, spread) = (&mut bytes[..size], &mut wide[..size]);
            self.gather.rows(input, *padding, &(0..self.channels), block.clone(), 16 * self.channels, windows);
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                (self.transforms.spread)(windows, self.channels, spread);
            }
            let operands = (&*spread, &packed[..], &bias[..]);
            self.multiply(shape, *tile, self.transforms.collect, operands, &block, sums, |sums, run| {
                let Bounds { low, high } = self.bounds;
                let Run { place, first, rows, columns } = *run;
                let place = place - self.before(lines);
                let (factors, stride) = (&factors[first..][..shape.columns], self.width);
                let mut finish = Finish { width: shape.columns, rows, columns, factors, low, high, zero: 0, stride };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                match &mut target {
                    Target::Bytes(out, zero) => {
                        finish.zero = *zero;
                        unsafe { (self.kernels.requantise)(sums, &finish, &mut out[place..]) }
                    }
                    Target::Reals(out) => {
                        let reals = &mut real_sums[..sums.len()];
                        reals.iter_mut().zip(sums).for_each(|(real, &sum)| *real = sum as f32);
                        unsafe { (self.kernels.clamp)(reals, &finish, &mut out[place..]) }
                    }
                }
            });
        }
    }

    /// Computes the product of reals at `lines`, which are all that `out` holds.
    pub(crate) fn of_reals(&self, lines: &Range<usize>, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let Packed::Reals { packed, bias } = &self.weights else { unreachable!("checked with the program") };
        let Scratch { reals, real_sums, .. } = scratch;
        let shape = self.kernels.real_shape;
        let ones = [1.0; 64];
        for block in self.blocks(lines) {
            let size = 16 * block.len() * self.channels;
            let (windows, spread) = reals[..2 * size].split_at_mut(size);
            self.gather.rows(input, 0.0, &(0..self.channels), block.clone(), 16 * self.channels, windows);
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                (self.transforms.spread_real)(windows, self.channels, spread);
            }
            let (multiply, collect) = (self.kernels.reals, self.transforms.collect_real);
            let operands = (&*spread, &packed[..], &bias[..]);
            self.multiply(shape, multiply, collect, operands, &block, real_sums, |sums, run| {
                let Bounds { low, high } = self.bounds;
                let Run { place, rows, columns, .. } = *run;
                let (factors, stride) = (&ones, self.width);
                let finish = Finish { width: shape.columns, rows, columns, factors, low, high, zero: 0, stride };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    (self.kernels.clamp)(sums, &finish, &mut out[place - self.before(lines)..]);
                }
            });
        }
    }

    /// Multiplies the factors of one block of tiles with all columns, and hands on the sums of each run of outputs.
    #[expect(clippy::too_many_arguments, reason = "what integers and reals have of their own")]
    fn multiply<L: Copy, S: Copy + Default>(
        &self,
        shape: Shape,
        multiply: Tile<L, L, S>,
        collect: unsafe fn(&[S], &[S], &mut [S]),
        (left, packed, bias): (&[L], &[L], &[S]),
        block: &Range<usize>,
        scratch: &mut [S],
        mut finish: impl FnMut(&[S], &Run),
    ) {
        let Shape { columns, .. } = shape;
        let (tiles, channels, blocks) = (block.len(), self.channels, self.width.div_ceil(columns));
        let (collected, sums) = scratch.split_at_mut(4 * tiles * columns);
        for at in 0..blocks {
            for place in 0..16 {
                let left = &left[place * tiles * channels..][..tiles * channels];
                let right = &packed[(place * blocks + at) * channels * columns..][..channels * columns];
                let sums = &mut sums[place * tiles * columns..];
                sums[..tiles * columns].fill(S::default());
                let operands = Operands { left, stride: channels, rows: tiles, right, length: channels, start: None };
                // SAFETY: the table belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    multiply(&operands, sums);
                }
            }
            let channel = at * columns;
            // SAFETY: the table belongs to a processor that this machine is.
            #[expect(unsafe_code, reason = "calls a kernel of this processor")]
            unsafe {
                collect(&sums[..16 * tiles * columns], &bias[channel..][..columns], collected);
            }
            self.runs(block, |line, first, tile, rows| {
                let sums = &collected[(line * tiles + tile) * 2 * columns..][..rows * columns];
                let columns = columns.min(self.width - channel);
                finish(sums, &Run { place: first * self.width + channel, first: channel, rows, columns });
            });
        }
    }

    /// Calls `run` for all outputs of a block that follow one another, with their line in the tiles, the first's
    /// position, its tile in the block, and their number.
    fn runs(&self, block: &Range<usize>, mut run: impl FnMut(usize, usize, usize, usize)) {
        let [height, width] = self.output;
        let across = self.gather.columns;
        let mut tile = block.start;
        while tile < block.end {
            let (y, x) = (2 * (tile / across), 2 * (tile % across));
            let tiles = (across - tile % across).min(block.end - tile);
            for line in 0..2.min(height - y) {
                run(line, (y + line) * width + x, tile - block.start, (2 * tiles).min(width - x));
            }
            tile += tiles;
        }
    }
}

/// Outputs that follow one another, for one block of columns: where the first result goes, the first packed column,
/// and how many outputs and columns count.
struct Run {
    place: usize,
    first: usize,
    rows: usize,
    columns: usize,
}

/// `G g Gᵀ` of each output and input channel, by place in the window, and then as a product's kernel reads it.
fn packed<W: Copy + Into<f64>, P: Default + Copy>(
    weights: &[W],
    channels: usize,
    width: usize,
    shape: Shape,
    convert: impl Fn(f64) -> P,
) -> Vec<P> {
    fn lines(g: [f64; 3]) -> [f64; 4] {
        let sides = g[0] + g[2];
        [g[0], 0.5 * (sides + g[1]), 0.5 * (sides - g[1]), g[2]]
    }
    let pairs = channels * width;
    let mut transformed = vec![P::default(); 16 * pairs];
    for pair in 0..pairs {
        let (output, input) = (pair / channels, pair % channels);
        let weight = |y: usize, x: usize| weights[(output * 9 + 3 * y + x) * channels + input].into();
        let columns: [[f64; 4]; 3] = std::array::from_fn(|x| lines(std::array::from_fn(|y| weight(y, x))));
        for y in 0..4 {
            for (x, value) in lines(std::array::from_fn(|x| columns[x][y])).into_iter().enumerate() {
                transformed[(4 * y + x) * pairs + pair] = convert(value);
            }
        }
    }
    pack(&transformed, channels, width, shape, |w| w)
}
