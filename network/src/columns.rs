//! The weights of a product, packed for one kind of processor.

use crate::kernel::{Bytes, Kernels, Shape, Strip, Tile};
use crate::packing::{one_each, pack, padded, without_excess};
use crate::program::{Element, Product, Tensor, Weights};

/// Packed weights, group by group, with the kernel that reads them.
pub(crate) enum Columns {
    Wide(Integers<i16>, Tile<i16, i16, i32>, Option<Strip<i16, i16>>),
    /// For one row: each weight is read once, and half the bytes are half the time.
    Single(Integers<i8>, Tile<i16, i8, i32>),
    Narrow(Integers<i8>, Tile<i8, i8, i32>, Option<Strip<i8, i8>>),
    Reals {
        packed: Vec<f32>,
        bias: Vec<f32>,
    },
}

/// Weights of a product of bytes.
pub(crate) struct Integers<R> {
    pub(crate) packed: Vec<R>,
    /// By packed column; what the zero point of the input adds, and what the kernel raises it by, is taken off.
    pub(crate) bias: Vec<i32>,
    /// By packed column.
    pub(crate) factors: Vec<f32>,
    pub(crate) padding: i8,
}

impl Columns {
    /// Packs the weights of a product of so many rows; each group has `width` columns of `length` values.
    pub(crate) fn new(
        kernels: &Kernels,
        product: &Product,
        input: &Tensor,
        [length, width]: [usize; 2],
        rows: usize,
    ) -> (Shape, Columns) {
        let (values, bias, factors) = match &product.weights {
            Weights::Bytes { values, bias, factors } => (values, bias, factors),
            Weights::Reals { values, bias } => {
                let shape = kernels.real_shape;
                let packed = pack(values, length, width, shape, |w| w);
                return (shape, Columns::Reals { packed, bias: padded(bias, width, shape.columns) });
            }
        };
        let Element::Byte { zero: padding } = input.element else { unreachable!("checked with the program") };
        let shape = kernels.shape;
        // At most 255 times the weights: within what the program's check leaves room for.
        let excess = i32::from(padding) + kernels.bytes.raise();
        let bias = padded(&without_excess(bias, values, length, excess), width, shape.columns);
        let factors = padded(&one_each(factors, product.groups as usize * width), width, shape.columns);
        let bytes = || pack(values, length, width, shape, |w| w);
        let columns = match (kernels.bytes, kernels.single) {
            (Bytes::Wide(..), Some(tile)) if rows == 1 => {
                Columns::Single(Integers { packed: bytes(), bias, factors, padding }, tile)
            }
            (Bytes::Wide(tile, strip), _) => {
                let packed = pack(values, length, width, shape, i16::from);
                Columns::Wide(Integers { packed, bias, factors, padding }, tile, strip)
            }
            (Bytes::Narrow(kernel), _) => {
                Columns::Narrow(Integers { packed: bytes(), bias, factors, padding }, kernel.of(values), None)
            }
            (Bytes::Raised(tile, strip), _) => {
                Columns::Narrow(Integers { packed: bytes(), bias, factors, padding }, tile, Some(strip))
            }
        };
        (shape, columns)
    }

    /// What lies around the image.
    pub(crate) fn padding(&self) -> i8 {
        match self {
            Columns::Wide(integers, ..) => integers.padding,
            Columns::Single(integers, ..) | Columns::Narrow(integers, ..) => integers.padding,
            Columns::Reals { .. } => 0,
        }
    }
}
