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
mod avx2_finish;
#[cfg(target_arch = "x86_64")]
mod avx2_paired;
#[cfg(target_arch = "x86_64")]
mod avx2_panel;
#[cfg(target_arch = "x86_64")]
mod avx2_sliding;
#[cfg(target_arch = "x86_64")]
mod avx2_winograd;
#[cfg(target_arch = "aarch64")]
mod dot;
mod exponential;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod paired;
mod plain;
#[cfg(target_arch = "x86_64")]
mod vnni;
pub(crate) mod winograd;

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;

use serde::{Deserialize, Serialize};

use crate::curve::Curve;
use crate::error::NetworkError;

/// A kind of processor, by the instructions that its kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cpu {
    /// Any processor.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-VNNI besides, such as Alder Lake and later.
    AvxVnni,
    /// Any 64-bit ARM, such as Cortex-A53 and A72.
    Neon,
    /// 64-bit ARM with dot products, such as Cortex-A55 and A76.
    Dot,
    /// 64-bit ARM with products of matrices of bytes, such as Cortex-A510 and Neoverse-N2.
    I8mm,
}

impl Cpu {
    /// All kinds, the plainest first.
    pub const ALL: [Cpu; 6] = [Cpu::Portable, Cpu::Avx2, Cpu::AvxVnni, Cpu::Neon, Cpu::Dot, Cpu::I8mm];

    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Cpu::Portable => "portable",
            Cpu::Avx2 => "avx2",
            Cpu::AvxVnni => "avx-vnni",
            Cpu::Neon => "neon",
            Cpu::Dot => "dot",
            Cpu::I8mm => "i8mm",
        }
    }

    /// Whether this machine is one.
    pub fn is_here(self) -> bool {
        match self {
            Cpu::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Cpu::AvxVnni => Cpu::Avx2.is_here() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Cpu::Dot => is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Cpu::I8mm => is_aarch64_feature_detected!("i8mm"),
            #[allow(unreachable_patterns, reason = "kinds of another architecture than this one")]
            _ => false,
        }
    }

    /// The fastest kind that this machine is.
    pub fn detect() -> Cpu {
        Cpu::ALL.into_iter().rev().find(|c| c.is_here()).unwrap_or(Cpu::Portable)
    }
}

/// Rows of a product, each `stride` values after the one before, by packed columns.
pub(crate) struct Operands<'a, L, R, S> {
    /// Left rows; the first begins at 0.
    pub(crate) left: &'a [L],
    /// Distance of two left rows.
    pub(crate) stride: usize,
    /// Rows, at least 1.
    pub(crate) rows: usize,
    /// Packed columns: `length` values of each.
    pub(crate) right: &'a [R],
    /// Length of the rows: a multiple of the kernel's `fill`.
    pub(crate) length: usize,
    /// One value per column, from which the sums begin. None: they go on from what is there.
    pub(crate) start: Option<&'a [S]>,
}

impl<L, R, S> Operands<'_, L, R, S> {
    /// Asserts that the slices hold what a kernel of `shape` reads and writes.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn check(&self, shape: Shape, sums: &[S]) {
        self.check_reading(shape);
        assert!(sums.len() >= self.rows.next_multiple_of(shape.rows) * shape.columns, "too few sums");
    }

    /// Asserts that the slices hold what a kernel of `shape` reads.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn check_reading(&self, shape: Shape) {
        let Operands { left, stride, rows, right, length, start } = self;
        let Shape { columns, fill, .. } = shape;
        assert!(*rows > 0 && length.is_multiple_of(fill), "{rows} rows of {length}");
        assert!(left.len() >= stride * (rows - 1) + length, "left rows end too soon");
        assert!(right.len() >= length * columns, "packed columns end too soon");
        assert!(start.is_none_or(|s| s.len() >= columns), "too few sums to begin with");
    }
}

/// Makes `sums` of left × right: so many values per row as the kernel has columns.
pub(crate) type Tile<L, R, S> = unsafe fn(&Operands<'_, L, R, S>, &mut [S]);

/// Finished bytes of any number of rows times one block of columns, from whole rows and with a start: what a tile and
/// `requantise` give, without the way through memory.
pub(crate) type Strip<L, R> = unsafe fn(&Operands<'_, L, R, i32>, &Finish<'_>, &mut [i8]);

/// The same of reals: least and greatest value, the columns that count and the distance of two rows.
pub(crate) type RealStrip = unsafe fn(&Operands<'_, f32, f32, f32>, [f32; 2], [usize; 2], &mut [f32]);

/// The windows of one row of outputs, where they lie in widened lines.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "used by kernels of other processors"))]
pub(crate) struct Slide<'a> {
    pub(crate) lines: &'a [i16],
    /// Place of each line of the first window.
    pub(crate) tops: &'a [usize],
    /// Distance of the windows of two outputs.
    pub(crate) step: usize,
    /// A block of packed columns: by line of the window, `length` values of each.
    pub(crate) right: &'a [i16],
    /// Length of a window's line: a multiple of the kernel's `fill`.
    pub(crate) length: usize,
    /// One value per column.
    pub(crate) bias: &'a [i32],
}

/// Finished bytes of a row of windows times one block of columns.
pub(crate) type SlidingStrip = unsafe fn(&Slide<'_>, &Finish<'_>, &mut [i8]);

/// How a product is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Rows that are multiplied at once. Sums are written for a multiple of them; what exceeds has no meaning.
    pub(crate) rows: usize,
    /// Columns that are packed together.
    pub(crate) columns: usize,
    /// Consecutive values of a column that are packed together; fewer where it ends.
    pub(crate) depth: usize,
    /// Rows and columns are filled up to a multiple of it.
    pub(crate) fill: usize,
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

impl Finish<'_> {
    /// Asserts that a strip of so many rows finds factors for the kernel's `width` columns and room for its results.
    #[cfg(target_arch = "x86_64")]
    fn check(&self, width: usize, rows: usize, out: &[i8]) {
        let Finish { columns, factors, stride, .. } = *self;
        assert!(factors.len() >= width && columns <= width, "too few columns");
        assert!(out.len() >= (rows - 1) * stride + columns, "too few results");
    }
}

/// One row of outputs of a depthwise convolution.
pub(crate) struct DepthwiseRow<'a, X, W, B> {
    pub(crate) input: &'a [X],
    /// Place of each tap's first channel for the first output.
    pub(crate) taps: &'a [usize],
    /// Distance of the places of two outputs.
    pub(crate) step: usize,
    /// Outputs.
    pub(crate) count: usize,
    pub(crate) channels: usize,
    /// By tap and channel, or as the kernel packs them.
    pub(crate) weights: &'a [W],
    pub(crate) bias: &'a [B],
    /// One per channel.
    pub(crate) factors: &'a [f32],
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) zero: i8,
}

impl<V, B> DepthwiseRow<'_, V, V, B> {
    /// Asserts that the slices hold what is read and written, weights by tap and channel.
    #[cfg(target_arch = "aarch64")]
    fn check(&self, out: &[V]) {
        let DepthwiseRow { input, taps, step, count, channels, weights, bias, .. } = self;
        let furthest = taps.iter().copied().max().unwrap_or(0);
        assert!(*count > 0 && input.len() >= furthest + (count - 1) * step + channels, "input ends too soon");
        assert!(weights.len() >= channels * taps.len(), "weights end too soon");
        assert!(bias.len() >= *channels && out.len() >= count * channels, "too few channels");
    }
}

/// Integer products: of rows widened to 16 bits, or of bytes as they are.
#[derive(Clone, Copy)]
pub(crate) enum Bytes {
    Wide(Tile<i16, i16, i32>, Option<Strip<i16, i16>>),
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "used by kernels of other processors"))]
    Narrow(Narrow<Tile<i8, i8, i32>>),
    /// Of bytes, the left ones 128 larger and without sign: sums begin with what that adds to their column taken off.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "used by kernels of other processors"))]
    Raised(Tile<i8, i8, i32>, Strip<i8, i8>),
}

impl Bytes {
    /// What the kernel adds to each value of the rows.
    pub(crate) fn raise(self) -> i32 {
        match self {
            Bytes::Wide(..) | Bytes::Narrow(_) => 0,
            Bytes::Raised(..) => 128,
        }
    }
}

/// A kernel that adds two products in 16 bits, which hold them unless both weights are −128, and one for any weights.
#[derive(Clone, Copy)]
pub(crate) struct Narrow<F> {
    pub(crate) common: F,
    pub(crate) any: F,
}

impl<F: Copy> Narrow<F> {
    /// The kernel for these weights.
    pub(crate) fn of(self, weights: &[i8]) -> F {
        if weights.contains(&i8::MIN) { self.any } else { self.common }
    }
}

/// Computes a row of outputs of a depthwise convolution.
pub(crate) type Convolve<X, W, B> = unsafe fn(&DepthwiseRow<'_, X, W, B>, &mut [X]);

/// Depthwise convolutions of bytes, with weights packed by the kernel, or by tap and channel as they are.
#[derive(Clone, Copy)]
pub(crate) enum DepthwiseBytes {
    Wide {
        /// Packs weights by tap and channel.
        pack: fn(&[i8], usize, usize) -> Vec<i16>,
        convolve: Convolve<i8, i16, i32>,
    },
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "used by kernels of other processors"))]
    Narrow(Narrow<Convolve<i8, i8, i32>>),
    /// Loops for the usual windows, and what `Wide` has for all others.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "used by kernels of other processors"))]
    Paired {
        loops: &'static paired::Loops,
        pack: fn(&[i8], usize, usize) -> Vec<i16>,
        convolve: Convolve<i8, i16, i32>,
    },
}

/// Bytes from two tensors of bytes with these zero points, one after the other.
pub(crate) type Pairwise = unsafe fn(&[i8], &[i8], [i8; 2], &Finish<'_>, &mut [i8]);

/// Reals from two tensors of reals, within bounds.
pub(crate) type PairwiseReal = unsafe fn(&[f32], &[f32], [f32; 2], &mut [f32]);

/// The kernels of one kind of processor. They may be called only where that kind [`Cpu::is_here`].
pub(crate) struct Kernels {
    pub(crate) shape: Shape,
    pub(crate) bytes: Bytes,
    /// One widened row by packed columns of bytes, where columns are otherwise wide.
    pub(crate) single: Option<Tile<i16, i8, i32>>,
    pub(crate) real_shape: Shape,
    pub(crate) reals: Tile<f32, f32, f32>,
    pub(crate) real_strip: Option<RealStrip>,
    /// Where it is faster than gathering the windows.
    pub(crate) sliding: Option<SlidingStrip>,
    /// Bytes from a tile of sums.
    pub(crate) requantise: unsafe fn(&[i32], &Finish<'_>, &mut [i8]),
    /// Places of two 16-bit values widened from bytes.
    pub(crate) widen: unsafe fn(&[i8], &mut [i16]),
    pub(crate) depthwise: DepthwiseBytes,
    pub(crate) depthwise_real: Convolve<f32, f32, f32>,
    pub(crate) quantise: unsafe fn(&[f32], f32, &Finish<'_>, &mut [i8]),
    pub(crate) add: unsafe fn(&[i8], &[i8], &Sum, &mut [i8]),
    pub(crate) multiply: Pairwise,
    pub(crate) add_real: PairwiseReal,
    pub(crate) clamp: unsafe fn(&[f32], &Finish<'_>, &mut [f32]),
    /// A function of each real, in place.
    pub(crate) curve: unsafe fn(Curve, &mut [f32]),
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
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => &avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Cpu::AvxVnni => &vnni::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon => &neon::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Cpu::Dot => &dot::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Cpu::I8mm => &i8mm::KERNELS,
            _ => &plain::KERNELS,
        })
    }
}
