//! Depthwise convolutions of bytes over lines whose pixels are widened and interleaved once, some channels at a time.

use std::ops::Range;

use crate::kernel::paired::{Block, CHANNELS, Convolve, Loops, Pair, Row};
use crate::program::{Element, Product, Tensor, Weights};
use crate::window::Window;

/// Most bytes of the lines of all channels that are computed together.
const MOST: usize = 1 << 16;

/// Most bytes of the lines of one block, beyond which nothing would stay in the cache.
const LONGEST: usize = 1 << 19;

/// Greatest side of a window.
const MOST_ROWS: usize = 5;

/// A convolution with its weights packed.
pub(crate) struct Paired {
    convolve: Convolve,
    window: Window,
    /// Rows and columns of the input.
    input: [usize; 2],
    /// Columns of the output.
    columns: usize,
    channels: usize,
    side: usize,
    /// Pairs of one line.
    length: usize,
    /// Blocks that are computed together.
    together: usize,
    blocks: Vec<Block>,
    padding: i8,
    low: i8,
    high: i8,
    zero: i8,
}

impl Paired {
    /// The depthwise convolution, where there is a loop for it; `bias` includes what the zero point adds.
    pub(crate) fn new(
        loops: &Loops,
        product: &Product,
        bias: &[i32],
        input: &Tensor,
        output: &Tensor,
    ) -> Option<Paired> {
        let Weights::Bytes { values, factors, .. } = &product.weights else { return None };
        let (Element::Byte { zero: padding }, Element::Byte { zero }) = (input.element, output.element) else {
            return None;
        };
        let Window { kernel: [side, across], stride: [_, step], dilation: [1, 1], .. } = product.window else {
            return None;
        };
        let channels = input.channels as usize;
        if side != across || channels < CHANNELS {
            return None;
        }
        let [side, step] = [side, step].map(|n| n as usize);
        let convolve = (loops.convolve)(side, step)?;
        let factor = |c: usize| factors[if factors.len() == 1 { 0 } else { c }];
        let fits = values.chunks_exact(side * side).zip(bias).enumerate().all(|(c, (weights, &bias))| {
            let magnitude: u64 = weights.iter().map(|w| u64::from(w.unsigned_abs())).sum();
            let sum = 128 * magnitude + u64::from(bias.unsigned_abs());
            sum as f32 * factor(c) < (1_u64 << 31) as f32
        });
        let columns = output.columns as usize;
        let length = (loops.pairs)(side, step, columns);
        let lines = side * length * size_of::<Pair>();
        if !fits || lines > LONGEST {
            return None;
        }
        let blocks: Vec<Block> = (0..channels.div_ceil(CHANNELS))
            .map(|block| {
                let start = start(block, channels);
                let taps = (0..side * side).map(|tap| std::array::from_fn(|c| values[(start + c) * side * side + tap]));
                Block {
                    start,
                    weights: (loops.pack)(&taps.collect::<Vec<_>>(), side, step),
                    bias: loops.order.map(|c| bias[start + c]),
                    factors: loops.order.map(|c| factor(start + c)),
                }
            })
            .collect();
        // Rounding keeps the order: it is all the same whether the bound or the result is rounded.
        let whole = |bound: f32| (bound.round_ties_even() + f32::from(zero)) as i8;
        Some(Paired {
            convolve,
            window: product.window,
            input: [input.rows as usize, input.columns as usize],
            columns,
            channels,
            side,
            length,
            together: (MOST / lines).clamp(1, blocks.len()),
            blocks,
            padding,
            low: whole(product.bounds.low),
            high: whole(product.bounds.high),
            zero,
        })
    }

    /// Pairs of one block: the lines that a window sees, and one of padding.
    fn memory(&self) -> usize {
        (self.side + 1) * self.length
    }

    /// Pairs that it needs memory for.
    pub(crate) fn size(&self) -> usize {
        self.together * self.memory()
    }

    /// Computes the rows `outputs`, which are all that `out` holds.
    pub(crate) fn of_bytes(&self, outputs: &Range<usize>, image: &[i8], memory: &mut [Pair], out: &mut [i8]) {
        let Paired { input: [height, width], columns, channels, side, length, .. } = *self;
        let padding = Pair([i16::from(self.padding); 2 * CHANNELS]);
        for memory in memory[..self.size()].chunks_exact_mut(self.memory()) {
            memory[side * length..].fill(padding);
        }
        for blocks in self.blocks.chunks(self.together) {
            // Line of the image that each line of the memory holds.
            let mut held = [usize::MAX; MOST_ROWS];
            for (y, out) in outputs.clone().zip(out.chunks_exact_mut(columns * channels)) {
                let top = self.window.start(0, y);
                let (mut lines, mut fresh, mut count) = ([side * length; MOST_ROWS], [[0; 2]; MOST_ROWS], 0);
                for (tap, line) in lines[..side].iter_mut().enumerate() {
                    let row = usize::try_from(top + tap as isize).ok().filter(|&row| row < height);
                    let Some(row) = row else { continue };
                    let slot = row % side;
                    *line = slot * length;
                    if held[slot] != row {
                        held[slot] = row;
                        fresh[count] = [row * width * channels, *line];
                        count += 1;
                    }
                }
                let row = Row {
                    image,
                    channels,
                    width,
                    before: self.window.before[1] as usize,
                    padding: self.padding,
                    fresh: &fresh[..count],
                    lines: &lines[..side],
                    count: columns,
                    blocks,
                    size: self.memory(),
                    low: self.low,
                    high: self.high,
                    zero: self.zero,
                };
                // SAFETY: the loop belongs to a processor that this machine is.
                #[expect(unsafe_code, reason = "calls a kernel of this processor")]
                unsafe {
                    (self.convolve)(&row, memory, out);
                }
            }
        }
    }
}

/// The first channel of a block; the last block may overlap the one before.
fn start(block: usize, channels: usize) -> usize {
    (block * CHANNELS).min(channels - CHANNELS)
}
