//! What a kind of processor offers for the algorithm F(2×2, 3×3) of Winograd, after Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks" (2016): 4×4 inputs become 16 factors, and 16 sums become 2×2 outputs.

/// Channels that are transformed together; tensors have a multiple of them.
pub(crate) const CHANNELS: usize = 16;

/// The transforms of one kind of processor.
pub(crate) struct Transforms {
    /// Windows of 4 × 4 pixels by tile, row, column, channel: to factors by place in the window, tile, channel.
    pub(crate) spread: unsafe fn(&[i8], usize, &mut [i16]),
    pub(crate) spread_real: unsafe fn(&[f32], usize, &mut [f32]),
    /// Four times the sums by place in the window, tile, column: to sums by output row, tile, output column, column,
    /// with the bias.
    pub(crate) collect: unsafe fn(&[i32], &[i32], &mut [i32]),
    /// The same of sums that are taken once.
    pub(crate) collect_real: unsafe fn(&[f32], &[f32], &mut [f32]),
}
