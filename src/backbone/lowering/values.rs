//! The value that a node makes, where its operator is known: rounding, adding, multiplying, curves, and moves.

use std::rc::Rc;

use shelfwatch_network::{Bounds, Curve, Op};
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::fake_quant::FAKE_QUANT;
use super::super::requant::REQUANT;
use super::super::tensor::Constant;
use super::builder::table;
use super::value::{Kind, Scaled, Shape, Value, within};
use super::{Lowering, layers, moves, node, plain};

/// The value of a node in segment `at`; `None` leaves the node to the inference engine.
pub(super) fn make<'g>(lowering: &mut Lowering<'g>, from: &'g NodeProto, at: usize) -> Option<Value> {
    if !matches!(from.domain.as_str(), "" | "ai.onnx") {
        return None;
    }
    match from.op_type.as_str() {
        FAKE_QUANT => rounded(lowering, from, at),
        REQUANT => layers::rescaled(lowering, from, at),
        "Conv" => layers::convolution(lowering, from, at),
        "Gemm" | "MatMul" => layers::matrix(lowering, from, at),
        "MaxPool" => layers::greatest(lowering, from, at),
        "AveragePool" => layers::average(lowering, from, at),
        "GlobalAveragePool" | "ReduceMean" => layers::mean(lowering, from, at),
        "Add" => sum(lowering, from, at),
        "Mul" => times(lowering, from, at),
        "Concat" => moves::joined(lowering, from, at),
        "Identity" | "Dropout" => input(lowering, from, 0, at),
        "Cast" if node::int(from, "to", 0) == DataType::Float as i64 => input(lowering, from, 0, at),
        "Slice" => moves::thinned(lowering, from, at),
        "Pad" => moves::filled(lowering, from, at),
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => moves::reshaped(lowering, from, at),
        "Transpose" if node::ints(from, "perm") == Some(&[0, 3, 1, 2]) => {
            lowering.image_last(node::input(from, 0)?, at)
        }
        _ => curved(lowering, from, at),
    }
}

/// Input `index` of a node.
pub(super) fn input(lowering: &mut Lowering<'_>, from: &NodeProto, index: usize, at: usize) -> Option<Value> {
    lowering.input(node::input(from, index)?, at)
}

/// A constant input.
pub(super) fn constant(lowering: &Lowering<'_>, from: &NodeProto, index: usize) -> Option<Constant> {
    let tensor = lowering.constants.get(node::input(from, index)?)?;
    Constant::read(tensor).ok()
}

/// A constant of one number.
fn number(lowering: &Lowering<'_>, from: &NodeProto, index: usize) -> Option<f32> {
    match constant(lowering, from, index)?.values[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// A value that keeps the scale of its input: a step from bytes to bytes, or from reals to reals.
pub(super) fn kept(
    lowering: &mut Lowering<'_>,
    from: &NodeProto,
    value: &Value,
    at: usize,
    op: Op,
    shape: &Shape,
) -> Option<Kind> {
    let builder = &mut lowering.segments[at].builder;
    Some(if let Kind::Bytes(part) = &value.kind {
        Kind::Bytes(Scaled { tensor: builder.step_like(&from.name, op, vec![part.tensor], shape), ..*part })
    } else {
        let input = builder.reals(&from.name, value)?;
        Kind::Reals(builder.real_step(&from.name, op, vec![input], shape))
    })
}

/// Whether a node alone reads its input `index`, so that both may become one step.
fn alone(lowering: &Lowering<'_>, from: &NodeProto, index: usize) -> bool {
    node::input(from, index).and_then(|name| lowering.readers.get(name)) == Some(&1)
}

/// Rounding to integers.
fn rounded(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let [step, low, high, scale] =
        [("step", 1.0), ("low", 0.0), ("high", 0.0), ("scale", 1.0)].map(|(name, or)| node::float(from, name, or));
    let bytes = lowering.segments[at].builder.round(&from.name, &value, step, Bounds { low, high })?;
    Some(Value { kind: Kind::Bytes(Scaled { factor: scale, ..bytes }), ..value })
}

fn sum(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let (a, b) = (input(lowering, from, 0, at)?, input(lowering, from, 1, at)?);
    if !a.shape.same(&b.shape) || a.shape.form != b.shape.form {
        return None;
    }
    let shape = a.shape;
    if let (Kind::Bytes(a), Kind::Bytes(b)) = (&a.kind, &b.kind) {
        return Some(Value { shape, kind: Kind::Sum { parts: [*a, *b], bounds: Bounds::NONE } });
    }
    let builder = &mut lowering.segments[at].builder;
    let parts = vec![builder.reals(&from.name, &a)?, builder.reals(&from.name, &b)?];
    let kind = Kind::Reals(builder.real_step(&from.name, Op::AddReal { bounds: Bounds::NONE }, parts, &shape));
    Some(Value { shape, kind })
}

fn times(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    for (number_at, value_at) in [(1, 0), (0, 1)] {
        if let Some(factor) = number(lowering, from, number_at).filter(|f| f.is_finite() && *f > 0.0) {
            return scaled(input(lowering, from, value_at, at)?, factor);
        }
    }
    let (mut a, mut b) = (input(lowering, from, 0, at)?, input(lowering, from, 1, at)?);
    if a.shape.positions() < b.shape.positions() {
        std::mem::swap(&mut a, &mut b);
    }
    let spread = b.shape.positions() == 1 && b.shape.channels == a.shape.channels;
    if a.shape.form != b.shape.form || !(a.shape.same(&b.shape) || spread) {
        return None;
    }
    let shape = a.shape;
    let tables = |x: &Kind, y: &Kind| Some((mapped(x)?, mapped(y)?));
    if let Some(((left, f), (right, g))) = tables(&a.kind, &b.kind).filter(|((left, _), (right, _))| left == right) {
        let zero = [&a.kind, &b.kind].map(|kind| match kind {
            Kind::Bytes(part) => lowering.segments[at].builder.zero(part.tensor),
            _ => 0,
        });
        debug_assert_eq!(left, right);
        let both = table(|byte| f(byte, zero[0]) * g(byte, zero[1]));
        return Some(Value { shape, kind: Kind::Mapped(left, both) });
    }
    if let (Kind::Bytes(a), Kind::Bytes(b)) = (&a.kind, &b.kind) {
        return Some(Value { shape, kind: Kind::Times { parts: [a.tensor, b.tensor], factor: a.factor * b.factor } });
    }
    let builder = &mut lowering.segments[at].builder;
    let parts = vec![builder.reals(&from.name, &a)?, builder.reals(&from.name, &b)?];
    Some(Value { shape, kind: Kind::Reals(builder.real_step(&from.name, Op::MultiplyReal, parts, &shape)) })
}

/// A function of a byte and the zero point of its tensor.
type OfByte = Box<dyn Fn(i8, i8) -> f32>;

/// The tensor of bytes that a value is a function of, and the function.
fn mapped(kind: &Kind) -> Option<(u32, OfByte)> {
    match kind {
        Kind::Bytes(Scaled { tensor, factor }) => {
            let factor = *factor;
            Some((*tensor, Box::new(move |byte, zero| (f32::from(byte) - f32::from(zero)) * factor)))
        }
        Kind::Mapped(tensor, table) => {
            let table = Rc::clone(table);
            Some((*tensor, Box::new(move |byte, _| table[usize::from(byte.cast_unsigned() ^ 0x80)])))
        }
        _ => None,
    }
}

/// A value times a positive number.
fn scaled(value: Value, factor: f32) -> Option<Value> {
    let Value { shape, kind } = value;
    let within = |b: Bounds| Bounds { low: b.low * factor, high: b.high * factor };
    let kind = match kind {
        Kind::Bytes(part) => Kind::Bytes(Scaled { factor: part.factor * factor, ..part }),
        Kind::Mapped(tensor, table) => Kind::Mapped(tensor, Rc::new(table.map(|v| v * factor))),
        Kind::Times { parts, factor: own } => Kind::Times { parts, factor: own * factor },
        Kind::Mean { input, factor: own } => Kind::Mean { input, factor: own * factor },
        Kind::Average { input, window, padded, factor: own } => {
            Kind::Average { input, window, padded, factor: own * factor }
        }
        Kind::Sum { parts, bounds } => {
            let parts = parts.map(|p| Scaled { factor: p.factor * factor, ..p });
            Kind::Sum { parts, bounds: within(bounds) }
        }
        Kind::Joined(parts) => {
            Kind::Joined(parts.into_iter().map(|(p, c)| (Scaled { factor: p.factor * factor, ..p }, c)).collect())
        }
        Kind::Product { input, base, factors, bounds } if !factors.is_empty() => {
            Kind::Product { input, base, factors: factors.iter().map(|f| f * factor).collect(), bounds: within(bounds) }
        }
        Kind::Reals(_) | Kind::Product { .. } => return None,
    };
    Some(Value { shape, kind })
}

/// Activation functions.
fn curved(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let curve = curve(lowering, from)?;
    let value = input(lowering, from, 0, at)?;
    let shape = value.shape;
    if let Curve::Clamp { low, high } = curve
        && alone(lowering, from, 0)
    {
        let kind = match &value.kind {
            Kind::Product { input, base, factors, bounds } => {
                let bounds = within(*bounds, Bounds { low, high });
                Some(Kind::Product { input: *input, base: Rc::clone(base), factors: Rc::clone(factors), bounds })
            }
            Kind::Sum { parts, bounds } => {
                Some(Kind::Sum { parts: *parts, bounds: within(*bounds, Bounds { low, high }) })
            }
            _ => None,
        };
        if let Some(kind) = kind {
            return Some(Value { shape, kind });
        }
    }
    if let Some((tensor, of)) = mapped(&value.kind) {
        let zero = lowering.segments[at].builder.zero(tensor);
        return Some(Value { shape, kind: Kind::Mapped(tensor, table(|byte| curve.at(of(byte, zero)))) });
    }
    let builder = &mut lowering.segments[at].builder;
    let input = builder.reals(&from.name, &value)?;
    Some(Value { shape, kind: Kind::Reals(builder.real_step(&from.name, Op::Curve(curve), vec![input], &shape)) })
}

fn curve(lowering: &Lowering<'_>, from: &NodeProto) -> Option<Curve> {
    Some(match from.op_type.as_str() {
        "Relu" => Curve::Clamp { low: 0.0, high: f32::INFINITY },
        "Clip" => {
            let bound = |index: usize, name: &str, or: f32| match node::input(from, index) {
                Some(_) => number(lowering, from, index),
                None => Some(node::float(from, name, or)),
            };
            let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
            if low.is_nan() || high.is_nan() || low > high {
                return None;
            }
            Curve::Clamp { low, high }
        }
        "HardSigmoid" => {
            Curve::HardSigmoid { alpha: node::float(from, "alpha", 0.2), beta: node::float(from, "beta", 0.5) }
        }
        "HardSwish" => Curve::HardSwish,
        "Sigmoid" => Curve::Sigmoid,
        "LeakyRelu" if plain(from, "alpha", 0.01) || node::float(from, "alpha", 0.01) >= 0.0 => {
            Curve::LeakyRelu { alpha: node::float(from, "alpha", 0.01) }
        }
        _ => return None,
    })
}
