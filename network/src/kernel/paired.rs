//! What a kind of processor offers for depthwise convolutions of bytes whose input is widened and interleaved once,
//! line by line, and then multiplied as it is for every window that sees it.

/// Channels that lie in one block.
pub(crate) const CHANNELS: usize = 16;

/// Two neighbouring pixels of one block of channels, or their weights, value by value in an order that is the kernel's.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Pair(pub(crate) [i16; 2 * CHANNELS]);

/// What belongs to one block of channels.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "read by kernels of other processors"))]
pub(crate) struct Block {
    /// Its first channel.
    pub(crate) start: usize,
    pub(crate) weights: Vec<Pair>,
    /// In the order of the kernel's sums, as the factors.
    pub(crate) bias: [i32; CHANNELS],
    pub(crate) factors: [f32; CHANNELS],
}

/// One row of outputs of some blocks of channels.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "read by kernels of other processors"))]
pub(crate) struct Row<'a> {
    pub(crate) image: &'a [i8],
    /// Distance of two pixels, in the image and in the result.
    pub(crate) channels: usize,
    /// Pixels of one line of the image, and those of padding before them; behind them there are as many as it takes.
    pub(crate) width: usize,
    pub(crate) before: usize,
    pub(crate) padding: i8,
    /// Where lines begin in the image, and where their pairs are to be written.
    pub(crate) fresh: &'a [[usize; 2]],
    /// Where the pairs of each row of taps lie then.
    pub(crate) lines: &'a [usize],
    /// Outputs.
    pub(crate) count: usize,
    pub(crate) blocks: &'a [Block],
    /// Pairs of memory for each block, with the same lines in each.
    pub(crate) size: usize,
    /// Bounds and zero point of the result; the bounds include the zero point.
    pub(crate) low: i8,
    pub(crate) high: i8,
    pub(crate) zero: i8,
}

/// Computes one row of outputs, written from the first on, over a memory of pairs.
pub(crate) type Convolve = unsafe fn(&Row<'_>, &mut [Pair], &mut [i8]);

/// The loops of one kind of processor.
pub(crate) struct Loops {
    /// The loop for a square window of this side at this step between outputs, where there is one. No product of a sum
    /// and its factor may lie beyond 32 bits.
    pub(crate) convolve: fn(usize, usize) -> Option<Convolve>,
    /// Pairs of a line that so many outputs see.
    pub(crate) pairs: fn(usize, usize, usize) -> usize,
    /// Packs the weights of one block, by tap and channel, for a window of this side and step.
    pub(crate) pack: fn(&[[i8; CHANNELS]], usize, usize) -> Vec<Pair>,
    /// The channel of each sum.
    pub(crate) order: [usize; CHANNELS],
}
