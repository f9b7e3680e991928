//! A network as data: tensors of one image, and steps that each make one tensor from others.

use serde::{Deserialize, Serialize};

use crate::curve::Curve;
use crate::window::Window;

/// A network for one image. Steps stand in an order in which they can run; each makes a tensor that none made before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Every tensor, by number.
    pub tensors: Vec<Tensor>,
    /// What is computed.
    pub steps: Vec<Step>,
    /// Numbers of the tensors that the caller gives.
    pub inputs: Vec<u32>,
    /// Numbers of the tensors that the caller reads afterwards, what is always needed first: a machine can put the others off.
    pub outputs: Vec<u32>,
}

/// Shape and type of one tensor. A vector has one row and one column; a sequence has one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// H.
    pub rows: u32,
    /// W.
    pub columns: u32,
    /// C.
    pub channels: u32,
    /// What a value is.
    pub element: Element,
    /// How values lie in memory.
    pub order: Order,
}

/// What a value of a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Element {
    /// `i8`, of which `zero` stands for the real 0.
    Byte {
        /// The zero point.
        zero: i8,
    },
    /// `f32`.
    Real,
}

/// How the values of a tensor lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Row, column, channel: all channels of a pixel together.
    Pixels,
    /// Channel, row, column, as ONNX has it. Only real inputs and outputs lie so.
    Planes,
}

/// One computation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the node in the network's own file.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// Numbers of the tensors that it reads.
    pub inputs: Vec<u32>,
    /// Number of the tensor that it makes.
    pub output: u32,
}

/// Least and greatest value of a result. Of bytes in integers, zero point subtracted; of reals as they are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Least.
    pub low: f32,
    /// Greatest.
    pub high: f32,
}

impl Bounds {
    /// No bounds.
    pub const NONE: Bounds = Bounds { low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// What a step computes. Rounding is to the nearest integer, ties to even; integers saturate at their bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Bytes from reals: `round(x / step)`.
    Quantise {
        /// Size of one integer step.
        step: f32,
        /// Saturation.
        bounds: Bounds,
    },
    /// Reals from bytes: `scale · q`.
    Dequantise {
        /// Size of one integer step.
        scale: f32,
    },
    /// The same reals in the other order, or with another shape of as many values.
    Arrange,
    /// Convolution, or fully connected layer.
    Product(Product),
    /// Bytes `round((left · a + right · b) / step)` of two tensors of bytes of one shape.
    Add {
        /// Scale of the first tensor.
        left: f32,
        /// Scale of the second tensor.
        right: f32,
        /// Size of one integer step of the result.
        step: f32,
        /// Saturation.
        bounds: Bounds,
    },
    /// Bytes `round(a · b · factor)`; b has the shape of a, or one value per channel.
    Multiply {
        /// Product of the scales over the scale of the result.
        factor: f32,
        /// Saturation.
        bounds: Bounds,
    },
    /// Reals `a + b` of one shape.
    AddReal {
        /// Clamping of the sum.
        bounds: Bounds,
    },
    /// Reals `a · b`; b has the shape of a, or one value per channel.
    MultiplyReal,
    /// A function of each real.
    Curve(Curve),
    /// A function of each byte, by its place in a table of 256 bytes (first that of −128).
    Lookup(Vec<i8>),
    /// The same with a table of 256 reals.
    LookupReal(Vec<f32>),
    /// Greatest value in a window; padding never wins.
    Max(Window),
    /// Mean over all positions, `factor · Σ q`: bytes (rounded) or reals, from bytes. From reals, `factor · Σ x`.
    Mean {
        /// One over the number of positions, times the ratio of the scales.
        factor: f32,
        /// Saturation.
        bounds: Bounds,
    },
    /// Mean over a window, `factor · Σ q`, padding counted as 0: bytes or reals, from bytes.
    Average(Pool),
    /// More channels, zeros, of which so many stand before those that are there. Bytes with one zero point, or reals.
    Fill {
        /// Zero channels before the first.
        before: u32,
    },
    /// Channels of several tensors of one height and width, one behind the other. Bytes with one zero point, or reals.
    Join,
}

impl Op {
    /// What is computed, in a word or two.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Quantise { .. } => "quantise",
            Op::Dequantise { .. } => "dequantise",
            Op::Arrange => "arrange",
            Op::Product(Product { weights: Weights::Bytes { .. }, .. }) => "product",
            Op::Product(Product { weights: Weights::Reals { .. }, .. }) => "real product",
            Op::Add { .. } => "add",
            Op::Multiply { .. } => "multiply",
            Op::AddReal { .. } => "real add",
            Op::MultiplyReal => "real multiply",
            Op::Curve(_) => "curve",
            Op::Lookup(_) | Op::LookupReal(_) => "look up",
            Op::Max(_) => "max",
            Op::Mean { .. } => "mean",
            Op::Average(_) => "average",
            Op::Fill { .. } => "fill",
            Op::Join => "join",
        }
    }
}

/// Mean over a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// What is averaged.
    pub window: Window,
    /// The padding belongs to what is averaged: every sum is divided by the number of taps.
    pub padded: bool,
    /// Ratio of the scales.
    pub factor: f32,
    /// Saturation.
    pub bounds: Bounds,
}

/// A weighted sum over a window and the channels of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// What is summed over.
    pub window: Window,
    /// Channels are split into so many groups.
    pub groups: u32,
    /// Weights and bias.
    pub weights: Weights,
    /// Bounds of the result.
    pub bounds: Bounds,
}

/// Weights by output channel, then kernel row, kernel column, and input channel of the group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Weights {
    /// Bytes in; `sum = Σ w · q + bias` in integers, the result is `sum · factor`: rounded to bytes, or reals.
    Bytes {
        /// Integer weights.
        values: Vec<i8>,
        /// One integer per output channel.
        bias: Vec<i32>,
        /// One factor, or one per output channel.
        factors: Vec<f32>,
    },
    /// Reals in and out.
    Reals {
        /// Real weights.
        values: Vec<f32>,
        /// One value per output channel.
        bias: Vec<f32>,
    },
}

impl Product {
    /// Multiplications of weights for a result of this shape.
    pub fn products(&self, output: &Tensor) -> u64 {
        let weights = match &self.weights {
            Weights::Bytes { values, .. } => values.len(),
            Weights::Reals { values, .. } => values.len(),
        };
        weights as u64 * output.positions() as u64
    }
}

impl Tensor {
    /// Number of values.
    pub fn volume(&self) -> usize {
        self.positions() * self.channels as usize
    }

    /// Number of pixels.
    pub fn positions(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    pub(crate) fn extent(&self, axis: usize) -> usize {
        if axis == 0 { self.rows as usize } else { self.columns as usize }
    }
}
