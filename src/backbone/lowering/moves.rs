//! Nodes that only move values: joined, reshaped, thinned out and filled up.

use shelfwatch_network::{Op, Window};
use tract_onnx::pb::NodeProto;

use super::super::tensor::integers;
use super::value::{Form, Kind, Scaled, Shape, Value};
use super::values::{constant, input, kept};
use super::{Lowering, node};

/// Most rows and columns that are left out at a time.
const WIDEST: i64 = 1 << 12;

/// Channels of several tensors.
pub(super) fn joined(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let parts: Option<Vec<Value>> = (0..from.input.len()).map(|index| input(lowering, from, index, at)).collect();
    let parts = parts?;
    let first = parts.first()?.shape;
    let rank = first.dims().len() as i64;
    let axis = node::int(from, "axis", 1);
    let channel_axis = if first.form == Form::Sequence { 2 } else { 1 };
    let alike =
        parts.iter().all(|p| p.shape.form == first.form && Shape { channels: first.channels, ..p.shape } == first);
    if !alike || (if axis < 0 { axis + rank } else { axis }) != channel_axis {
        return None;
    }
    let shape = Shape { channels: parts.iter().map(|p| p.shape.channels).sum(), ..first };
    let bytes: Option<Vec<(Scaled, usize)>> = parts
        .iter()
        .map(|part| match &part.kind {
            Kind::Bytes(scaled) => Some((*scaled, part.shape.channels)),
            _ => None,
        })
        .collect();
    let builder = &mut lowering.segments[at].builder;
    let kind = if let Some(bytes) = bytes {
        let (one, _) = bytes[0];
        let alike = |(part, _): &(Scaled, usize)| {
            part.factor.to_bits() == one.factor.to_bits() && builder.zero(part.tensor) == builder.zero(one.tensor)
        };
        if bytes.iter().all(alike) {
            let inputs = bytes.iter().map(|(part, _)| part.tensor).collect();
            Kind::Bytes(Scaled { tensor: builder.step_like(&from.name, Op::Join, inputs, &shape), ..one })
        } else {
            Kind::Joined(bytes)
        }
    } else {
        let inputs: Option<Vec<u32>> = parts.iter().map(|part| builder.reals(&from.name, part)).collect();
        Kind::Reals(builder.real_step(&from.name, Op::Join, inputs?, &shape))
    };
    Some(Value { shape, kind })
}

/// Another form of the same values, where none of them moves.
pub(super) fn reshaped(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let to = Shape::of(&lowering.source.facts.get(&from.output[0])?.full()?)?;
    let still = value.shape == to || value.shape.positions() == 1 && value.shape.same(&to);
    still.then_some(Value { shape: to, ..value })
}

/// Every so many rows and columns: a window of one value.
pub(super) fn thinned(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let whole = |index: usize| integers(lowering.constants.get(node::input(from, index)?)?);
    let (starts, ends, axes, steps) = (whole(1)?, whole(2)?, whole(3)?, whole(4)?);
    let mut stride = [1_u32; 2];
    for (at, &axis) in axes.iter().enumerate() {
        let (extent, stride) = match axis {
            2 | -2 => (value.shape.rows, &mut stride[0]),
            3 | -1 => (value.shape.columns, &mut stride[1]),
            _ => return None,
        };
        if *starts.get(at)? != 0 || *ends.get(at)? < extent as i64 || !(1..=WIDEST).contains(steps.get(at)?) {
            return None;
        }
        *stride = steps[at] as u32;
    }
    if value.shape.form != Form::Image {
        return None;
    }
    let extents = [value.shape.rows, value.shape.columns];
    let [rows, columns] = [0, 1].map(|axis| extents[axis].div_ceil(stride[axis] as usize));
    let shape = Shape { rows, columns, ..value.shape };
    let window = Window { stride, ..Window::POINT };
    Some(Value { shape, kind: kept(lowering, from, &value, at, Op::Max(window), &shape)? })
}

/// Channels of zeros before and after those that are there.
pub(super) fn filled(lowering: &mut Lowering<'_>, from: &NodeProto, at: usize) -> Option<Value> {
    let value = input(lowering, from, 0, at)?;
    let pads = integers(lowering.constants.get(node::input(from, 1)?)?)?;
    let fill = match node::input(from, 2) {
        Some(_) => constant(lowering, from, 2)?.values.first().copied()?,
        None => 0.0,
    };
    let constant = node::attribute(from, "mode").is_none_or(|a| a.s == b"constant");
    let &[0, before, 0, 0, 0, after, 0, 0] = &pads[..] else { return None };
    if value.shape.form != Form::Image || fill != 0.0 || !constant || node::input(from, 3).is_some() {
        return None;
    }
    let channels = [u32::try_from(before).ok()?, u32::try_from(after).ok()?];
    let shape = Shape { channels: value.shape.channels + channels.iter().sum::<u32>() as usize, ..value.shape };
    Some(Value { shape, kind: kept(lowering, from, &value, at, Op::Fill { before: channels[0] }, &shape)? })
}
