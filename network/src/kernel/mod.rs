//! The kernels of each kind of processor behind one table, and the choice among them at run time.
//!
//! The plain ones are the specification. Every other computes integers to the same bit; sums of reals may differ
//! in the order of summation, and by the rounding of Winograd's transforms.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_depthwise;
#[cfg(target_arch = "x86_64")]
mod avx2_depthwise_real;
#[cfg(target_arch = "x86_64")]
mod avx2_winograd;
mod plain;
pub(crate) mod winograd;

use serde::{Deserialize, Serialize};

use crate::error::NetworkError;

/// A kind of processor, by the instructions that its kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cpu {
    /// Any processor.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
}

impl Cpu {
    /// All kinds, the plainest first.
    pub const ALL: [Cpu; 2] = [Cpu::Portable, Cpu::Avx2];

    /// Its name, as in `/proc/cpuinfo`.
    pub fn name(self) -> &'static str {
        match self {
            Cpu::Portable => "portable",
            Cpu::Avx2 => "avx2",
        }
    }

    /// Whether this machine is one.
    pub fn is_here(self) -> bool {
        match self {
            Cpu::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Cpu::Avx2 => false,
        }
    }

    /// The fastest kind that this machine is.
    pub fn detect() -> Cpu {
        Cpu::ALL.into_iter().rev().find(|c| c.is_here()).unwrap_or(Cpu::Portable)
    }
}

/// Rows of a product, each `stride` values after the one before, by packed columns.
pub(crate) struct Operands<'a, L, R> {
    /// Left rows; the first begins at 0.
    pub(crate) left: &'a [L],
    /// Distance of two left rows.
    pub(crate) stride: usize,
    /// Rows that count, 1 to the kernel's; results of further ones have no meaning.
    pub(crate) rows: usize,
    /// Packed columns: `groups` blocks of columns × depth values.
    pub(crate) right: &'a [R],
    /// Length of the rows over the kernel's depth.
    pub(crate) groups: usize,
}

/// Adds left × right onto `sums`: `rows` times `columns` values, row by row.
pub(crate) type Tile<L, R, S> = unsafe fn(&Operands<'_, L, R>, &mut [S]);

/// Finished bytes of any number of rows times one block of columns: what a tile and `requantise` give, without the
/// way through memory. The bias and the factors have one value for each of the kernel's columns.
pub(crate) type Strip<L> = unsafe fn(&Operands<'_, L, L>, &[i32], &Finish<'_>, &mut [i8]);

/// The same of reals: bias, then least and greatest value, the columns that count and the distance of two rows.
pub(crate) type RealStrip = unsafe fn(&Operands<'_, f32, f32>, &[f32], [f32; 2], [usize; 2], &mut [f32]);

/// How a product is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Consecutive values of a row that are multiplied at once.
    pub(crate) depth: usize,
}

/// What becomes of the integer sums of one tile.
pub(crate) struct Finish<'a> {
    /// Columns of the kernel: the distance of two rows of sums.
    pub(crate) width: usize,
    /// Rows that count.
    pub(crate) rows: usize,
    /// Columns that count.
    pub(crate) columns: usize,
    /// Factor of each column; a kernel may read as many as it has columns.
    pub(crate) factors: &'a [f32],
    pub(crate) low: f32,
    pub(crate) high: f32,
    /// Zero point of the result.
    pub(crate) zero: i8,
    /// Distance of two rows of the result.
    pub(crate) stride: usize,
}

/// One row of outputs of a depthwise convolution: bytes.
pub(crate) struct DepthwiseRow<'a, X, W, B> {
    pub(crate) input: &'a [X],
    /// Place of each tap's first channel for the first output.
    pub(crate) taps: &'a [usize],
    /// Distance of the places of two outputs.
    pub(crate) step: usize,
    /// Outputs.
    pub(crate) count: usize,
    pub(crate) channels: usize,
    /// Packed by the kernel's own function.
    pub(crate) weights: &'a [W],
    pub(crate) bias: &'a [B],
    /// One per channel.
    pub(crate) factors: &'a [f32],
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) zero: i8,
}

/// Integer products: of rows widened to 16 bits, or of bytes as they are.
#[derive(Clone, Copy)]
pub(crate) enum Bytes {
    Wide(Tile<i16, i16, i32>, Option<Strip<i16>>),
    #[allow(dead_code, reason = "used by kernels of other processors")]
    Narrow(Tile<i8, i8, i32>, Option<Strip<i8>>),
}

/// Bytes from two tensors of bytes with these zero points, one after the other.
pub(crate) type Pairwise = unsafe fn(&[i8], &[i8], [i8; 2], &Finish<'_>, &mut [i8]);

/// Reals from two tensors of reals, within bounds.
pub(crate) type PairwiseReal = unsafe fn(&[f32], &[f32], [f32; 2], &mut [f32]);

/// The kernels of one kind of processor. They may be called only where that kind [`Cpu::is_here`].
pub(crate) struct Kernels {
    pub(crate) shape: Shape,
    pub(crate) bytes: Bytes,
    pub(crate) real_shape: Shape,
    pub(crate) reals: Tile<f32, f32, f32>,
    pub(crate) real_strip: Option<RealStrip>,
    /// Bytes from a tile of sums.
    pub(crate) requantise: unsafe fn(&[i32], &Finish<'_>, &mut [i8]),
    /// Places of two 16-bit values widened from bytes.
    pub(crate) widen: unsafe fn(&[i8], &mut [i16]),
    /// Weights by tap and channel, as `depthwise` reads them.
    pub(crate) pack_depthwise: fn(&[i8], usize, usize) -> Vec<i16>,
    pub(crate) depthwise: unsafe fn(&DepthwiseRow<'_, i8, i16, i32>, &mut [i8]),
    pub(crate) depthwise_real: unsafe fn(&DepthwiseRow<'_, f32, f32, f32>, &mut [f32]),
    pub(crate) quantise: unsafe fn(&[f32], f32, &Finish<'_>, &mut [i8]),
    pub(crate) add: unsafe fn(&[i8], &[i8], &Sum, &mut [i8]),
    pub(crate) multiply: Pairwise,
    pub(crate) add_real: PairwiseReal,
    pub(crate) clamp: unsafe fn(&[f32], &Finish<'_>, &mut [f32]),
    pub(crate) column_sums: unsafe fn(&[i8], &mut [i32]),
    pub(crate) greatest: unsafe fn(&[i8], &mut [i8]),
    /// Where Winograd's algorithm is known to be faster than the sums themselves.
    pub(crate) winograd: Option<&'static winograd::Transforms>,
}

/// How two tensors of bytes are added.
pub(crate) struct Sum {
    pub(crate) zeros: [i8; 2],
    pub(crate) scales: [f32; 2],
    pub(crate) step: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) zero: i8,
}

impl Kernels {
    /// The kernels of `cpu`.
    pub(crate) fn of(cpu: Cpu) -> Result<&'static Kernels, NetworkError> {
        if !cpu.is_here() {
            return Err(NetworkError::Cpu(cpu.name()));
        }
        Ok(match cpu {
            Cpu::Portable => &plain::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => &avx2::KERNELS,
            #[cfg(not(target_arch = "x86_64"))]
            Cpu::Avx2 => &plain::KERNELS,
        })
    }
}
