//! What a tensor of the network's graph is while the graph becomes a program: bytes, reals, or a computation whose
//! rounding is still to come.

use std::rc::Rc;

use shelfwatch_network::{Bounds, Product, Window};

/// How the extents of a tensor in the graph lie in a program's rows, columns and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// 1×C×H×W.
    Image,
    /// 1×C.
    Vector,
    /// 1×N×C: N rows of one column.
    Sequence,
}

/// Rows, columns and channels, and their form in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) channels: usize,
    pub(super) form: Form,
}

impl Shape {
    /// The shape of a tensor of one image, where it has one of the forms.
    pub(super) fn of(dims: &[usize]) -> Option<Shape> {
        match *dims {
            [1, channels, rows, columns] => Some(Shape { rows, columns, channels, form: Form::Image }),
            [1, channels] => Some(Shape { rows: 1, columns: 1, channels, form: Form::Vector }),
            [1, rows, channels] => Some(Shape { rows, columns: 1, channels, form: Form::Sequence }),
            _ => None,
        }
        .filter(|s| s.rows > 0 && s.columns > 0 && s.channels > 0)
    }

    /// Extents in the graph.
    pub(super) fn dims(&self) -> Vec<usize> {
        match self.form {
            Form::Image => vec![1, self.channels, self.rows, self.columns],
            Form::Vector => vec![1, self.channels],
            Form::Sequence => vec![1, self.rows, self.channels],
        }
    }

    pub(super) fn positions(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether both hold the same rows, columns and channels.
    pub(super) fn same(&self, other: &Shape) -> bool {
        (self.rows, self.columns, self.channels) == (other.rows, other.columns, other.channels)
    }
}

/// Bytes that stand for `factor · (byte − zero point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaled {
    pub(super) tensor: u32,
    pub(super) factor: f32,
}

/// A tensor of the graph.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) shape: Shape,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Bytes(Scaled),
    Reals(u32),
    /// A function of each byte: its values for −128 to 127.
    Mapped(u32, Rc<[f32; 256]>),
    /// A product of bytes or reals. Bounds and factors here count, not those of `base`.
    Product {
        input: u32,
        base: Rc<Product>,
        factors: Rc<[f32]>,
        bounds: Bounds,
    },
    /// The sum of two tensors of bytes.
    Sum {
        parts: [Scaled; 2],
        bounds: Bounds,
    },
    /// The product of two tensors of bytes, the second perhaps one value per channel.
    Times {
        parts: [u32; 2],
        factor: f32,
    },
    /// The mean of bytes over all positions is `factor` times their sum.
    Mean {
        input: u32,
        factor: f32,
    },
    /// The mean of bytes in a window.
    Average {
        input: u32,
        window: Window,
        padded: bool,
        factor: f32,
    },
    /// Channels of several tensors of bytes.
    Joined(Vec<(Scaled, usize)>),
}

impl Kind {
    /// Tells computations apart, as long as all values live.
    pub(super) fn key(&self) -> String {
        match self {
            Kind::Product { input, base, factors, bounds } => {
                format!("{input} {:p} {:?} {bounds:?}", Rc::as_ptr(base), factors)
            }
            kind => format!("{kind:?}"),
        }
    }
}

/// What the bounds `first` are, once `second` bound what is left.
pub(super) fn within(first: Bounds, second: Bounds) -> Bounds {
    let bounded = |value: f32| value.max(second.low).min(second.high);
    Bounds { low: bounded(first.low), high: bounded(first.high) }
}
