//! Weighted layers and pooling: convolutions, matrix products, their rescaling, and windows.

use std::rc::Rc;

use shelfwatch_network::{Bounds, Op, Product, Weights, Window};
use tract_onnx::pb::NodeProto;

use super::super::engine::Fact;
use super::super::tensor::{Constant, integers};
use super::value::{Form, Kind, Scaled, Shape, Value};
use super::values::{constant, input, kept};
use super::{Lowering, node, plain};

/// Largest extent of a window.
const WIDEST: i64 = 1 << 12;

/// The window of a node over an image, and the rows and columns of its result.
fn window(from: &NodeProto, kernel: [usize; 2], shape: &Shape) -> Option<(Window, [usize; 2])> {
    let pair = |name: &str| match node::ints(from, name) {
        None => Some([1, 1]),
        Some(&[rows, columns]) if [rows, columns].iter().all(|v| (1..=WIDEST).contains(v)) => Some([rows, columns]),
        Some(_) => None,
    };
    let (stride, dilation) = (pair("strides")?, pair("dilations")?);
    let reach = [0, 1].map(|axis| (kernel[axis] as i64 - 1) * dilation[axis] + 1);
    let extents = [shape.rows as i64, shape.columns as i64];
    let automatic = node::attribute(from, "auto_pad").map_or(&b""[..], |a| &a.s);
    let (before, after) = match automatic {
        b"" | b"NOTSET" => match node::ints(from, "pads") {
            None => ([0, 0], [0, 0]),
            Some(&[top, left, bottom, right]) => ([top, left], [bottom, right]),
            Some(_) => return None,
        },
        b"VALID" => ([0, 0], [0, 0]),
        b"SAME_UPPER" | b"SAME_LOWER" => {
            let all = [0, 1].map(|axis| {
                let outputs = (extents[axis] + stride[axis] - 1) / stride[axis];
                ((outputs - 1) * stride[axis] + reach[axis] - extents[axis]).max(0)
            });
            let less = all.map(|p| p / 2);
            let more = [all[0] - less[0], all[1] - less[1]];
            if automatic == b"SAME_UPPER" { (less, more) } else { (more, less) }
        }
        _ => return None,
    };
    if before.iter().chain(&after).any(|p| !(0..=WIDEST).contains(p)) {
        return None;
    }
    let outputs = [0, 1].map(|axis| (extents[axis] + before[axis] + after[axis] - reach[axis]) / stride[axis] + 1);
    let fits =
        [0, 1].iter().all(|&axis| extents[axis] + before[axis] + after[axis] >= reach[axis] && outputs[axis] > 0);
    let small = |pair: [i64; 2]| pair.map(|v| v as u32);
    let window = Window {
        kernel: kernel.map(|k| k as u32),
        stride: small(stride),
        before: small(before),
        dilation: small(dilation),
    };
    fits.then(|| (window, outputs.map(|o| o as usize)))
}

/// Integers of a constant, where it holds nothing else.
fn whole(values: &[f32]) -> Option<Vec<i32>> {
    let limit = 2_147_483_520.0;
    values.iter().map(|&v| (v.fract() == 0.0 && v.abs() <= limit).then_some(v as i32)).collect()
}

/// A bias in units of the sums, to the nearest integer: what that changes is far below one step of any result.
fn nearest(values: &[f32]) -> Option<Vec<i32>> {
    whole(&values.iter().map(|v| v.round_ties_even()).collect::<Vec<f32>>())
}

/// Weights by output channel, with the bias; as integers where everything is.
fn product(
    lowering: &mut Lowering<'_>,
    from: &NodeProto,
    value: &Value,
    at: usize,
    (weights, bias): (Vec<f32>, Vec<f32>),
    (window, groups): (Window, usize),
    shape: Shape,
) -> Option<Value> {
    let base = |weights| Rc::new(Product { window, groups: groups as u32, weights, bounds: Bounds::NONE });
    if let Kind::Bytes(Scaled { tensor, factor: 1.0 }) = value.kind
        && let (Some(integers), Some(bias)) = (whole(&weights), nearest(&bias))
    {
        let bytes: Result<Vec<i8>, _> = integers.iter().map(|&w| i8::try_from(w)).collect();
        if let Ok(values) = bytes {
            let base = base(Weights::Bytes { values, bias, factors: vec![1.0] });
            let kind = Kind::Product { input: tensor, base, factors: Rc::new([1.0]), bounds: Bounds::NONE };
            return Some(Value { shape, kind });
        }
    }
    // Integers that are no bytes keep the engine's path, whose sums are those of the file.
    if matches!(&value.kind, Kind::Bytes(scaled) if scaled.factor.to_bits() == 1.0_f32.to_bits()) {
        return None;
    }
    let input = lowering.segments[at].builder.reals(&from.name, value)?;
    let base = base(Weights::Reals { values: weights, bias });
    Some(Value { shape, kind: Kind::Product { input, base, factors: Rc::new([]), bounds: Bounds::NONE } })
}

pub(super) fn convolution(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let Constant { dims, values } = constant(lowering, from, 1)?;
    let &[outputs, depth, kernel_rows, kernel_columns] = &dims[..] else { return None };
    let groups = usize::try_from(node::int(from, "group", 1)).ok().filter(|&g| g > 0)?;
    if value.shape.form != Form::Image
        || depth.checked_mul(groups) != Some(value.shape.channels)
        || !outputs.is_multiple_of(groups)
        || values.is_empty()
    {
        return None;
    }
    let (window, [rows, columns]) = window(from, [kernel_rows, kernel_columns], &value.shape)?;
    let bias = match node::input(from, 2) {
        Some(_) => constant(lowering, from, 2)?.values,
        None => vec![0.0; outputs],
    };
    if bias.len() != outputs {
        return None;
    }
    let taps = kernel_rows * kernel_columns;
    let mut weights = vec![0.0; values.len()];
    for (values, weights) in values.chunks_exact(depth * taps).zip(weights.chunks_exact_mut(depth * taps)) {
        for (channel, values) in values.chunks_exact(taps).enumerate() {
            values.iter().enumerate().for_each(|(tap, &v)| weights[tap * depth + channel] = v);
        }
    }
    let shape = Shape { rows, columns, channels: outputs, form: Form::Image };
    product(lowering, from, &value, at, (weights, bias), (window, groups), shape)
}

pub(super) fn matrix(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let Constant { dims, values } = constant(lowering, from, 1)?;
    let &[first, second] = &dims[..] else { return None };
    let gemm = from.op_type == "Gemm";
    let turned = gemm && node::int(from, "transB", 0) != 0;
    if gemm && (!plain(from, "alpha", 1.0) || !plain(from, "beta", 1.0) || node::int(from, "transA", 0) != 0) {
        return None;
    }
    let (length, outputs) = if turned { (second, first) } else { (first, second) };
    if value.shape.form == Form::Image || value.shape.channels != length || values.is_empty() {
        return None;
    }
    let bias = match node::input(from, 2) {
        Some(_) => constant(lowering, from, 2)?.values,
        None => vec![0.0; outputs],
    };
    let bias = if let [one] = bias[..] { vec![one; outputs] } else { bias };
    if bias.len() != outputs {
        return None;
    }
    let weights =
        if turned { values } else { (0..outputs).flat_map(|o| values[o..].iter().step_by(outputs).copied()).collect() };
    let shape = Shape { channels: outputs, ..value.shape };
    product(lowering, from, &value, at, (weights, bias), (Window::POINT, 1), shape)
}

/// Integer sums brought to the scale of their result.
pub(super) fn rescaled(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let Kind::Product { input, base, factors: own, bounds } = &value.kind else { return None };
    let factors = node::floats(from, "factors")?;
    let axis_fits = node::int(from, "inner_axes", 0) == if value.shape.form == Form::Image { 2 } else { 0 };
    let per_channel = factors.len() == value.shape.channels && axis_fits;
    if own[..] != [1.0] || *bounds != Bounds::NONE || !(factors.len() == 1 || per_channel) {
        return None;
    }
    let kind = Kind::Product { input: *input, base: Rc::clone(base), factors: factors.into(), bounds: Bounds::NONE };
    let rescaled = Value { shape: value.shape, kind };
    let Some(&[low, high, scale]) = node::floats(from, "rounding") else { return Some(rescaled) };
    let bytes = lowering.segments[at].builder.round(&from.name, &rescaled, 1.0, Bounds { low, high })?;
    Some(Value { shape: value.shape, kind: Kind::Bytes(Scaled { factor: scale, ..bytes }) })
}

/// The window of a pooling, where its result has the extents that rounding down gives.
fn pooling(lowering: &Lowering<'_>, from: &NodeProto, shape: &Shape) -> Option<(Window, Shape)> {
    let &[rows, columns] = node::ints(from, "kernel_shape")? else { return None };
    let kernel = [rows, columns].map(|k| usize::try_from(k).ok().filter(|&k| k as i64 <= WIDEST && k > 0));
    let (window, outputs) = window(from, [kernel[0]?, kernel[1]?], shape)?;
    let found = lowering.source.facts.get(&from.output[0]).and_then(Fact::full)?;
    let [rows, columns] = outputs;
    let shape = Shape { rows, columns, ..*shape };
    (shape.form == Form::Image && found == shape.dims()).then_some((window, shape))
}

pub(super) fn greatest(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let (window, shape) = pooling(lowering, from, &value.shape)?;
    let kind = kept(lowering, from, &value, at, Op::Max(window), &shape)?;
    Some(Value { shape, kind })
}

pub(super) fn average(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let (window, shape) = pooling(lowering, from, &value.shape)?;
    let whole = window.kernel.map(|k| k as usize) == [value.shape.rows, value.shape.columns] && window.before == [0, 0];
    if whole && shape.positions() == 1 {
        return over_all(lowering, from, &value, at, shape);
    }
    match value.kind {
        Kind::Bytes(Scaled { tensor, factor }) => {
            let padded = node::int(from, "count_include_pad", 0) != 0;
            Some(Value { shape, kind: Kind::Average { input: tensor, window, padded, factor } })
        }
        _ => None,
    }
}

/// The mean over all positions.
pub(super) fn mean(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    if value.shape.form != Form::Image {
        return None;
    }
    let mut keep = true;
    if from.op_type == "ReduceMean" {
        let axes = match node::input(from, 1) {
            Some(name) => integers(lowering.constants.get(name)?)?,
            None => node::ints(from, "axes")?.to_vec(),
        };
        let mut axes: Vec<i64> = axes.into_iter().map(|a| if a < 0 { a + 4 } else { a }).collect();
        axes.sort_unstable();
        if axes != [2, 3] {
            return None;
        }
        keep = node::int(from, "keepdims", 1) != 0;
    }
    let form = if keep { Form::Image } else { Form::Vector };
    let shape = Shape { rows: 1, columns: 1, form, ..value.shape };
    over_all(lowering, from, &value, at, shape)
}

fn over_all(lowering: &mut Lowering<'_>, from: &NodeProto, value: &Value, at: usize, shape: Shape) -> Option<Value> {
    let share = 1.0 / value.shape.positions() as f32;
    let kind = if let Kind::Bytes(Scaled { tensor, factor }) = &value.kind {
        Kind::Mean { input: *tensor, factor: factor * share }
    } else {
        let builder = &mut lowering.segments[at].builder;
        let input = builder.reals(&from.name, value)?;
        let op = Op::Mean { factor: share, bounds: Bounds::NONE };
        Kind::Reals(builder.real_step(&from.name, op, vec![input], &shape))
    };
    Some(Value { shape, kind })
}
