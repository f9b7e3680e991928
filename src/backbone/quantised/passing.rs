//! Operators that only move, repeat or select values: they keep the quantisation of what passes through.

use tract_onnx::pb::NodeProto;

use super::super::error::BackboneError;
use super::super::node;
use super::super::tensor::Constant;
use super::{Rewriter, refuse};

/// Operators whose first input alone carries values.
const MOVES: [&str; 20] = [
    "DepthToSpace",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "ReduceMax",
    "ReduceMin",
    "Upsample",
];

/// Operators that read only the shape of their input.
const SHAPES: [&str; 2] = ["Shape", "Size"];

impl Rewriter {
    /// Keeps a node that is no quantisation operator.
    pub(super) fn passing(&mut self, mut from: NodeProto) -> Result<(), BackboneError> {
        let held: Vec<_> = from.input.iter().filter_map(|name| self.known.activations.get(name).cloned()).collect();
        let op = from.op_type.as_str();
        let Some(first) = held.first().cloned().filter(|_| !SHAPES.contains(&op)) else {
            self.nodes.push(from);
            return Ok(());
        };
        match op {
            "Relu" | "Clip" => return self.clip(&from, first),
            "Pad" => self.pad(&mut from, first.zero)?,
            "Cast" => {
                let offset = self.add_constant(&format!("{}#zero", from.output[0]), Constant::scalar(first.zero));
                let raw = format!("{}#raw", from.output[0]);
                self.nodes.push(node::make("Add", &[&from.input[0], &offset], &raw));
                from.input[0] = raw;
                self.nodes.push(from);
                return Ok(());
            }
            "Concat" if held.len() == from.input.len() && held.iter().all(|q| *q == first) => {}
            "Max" | "Min" if held.len() == from.input.len() && held.iter().all(|q| *q == first) => {}
            op if MOVES.contains(&op) && self.known.activations.contains_key(&from.input[0]) => {}
            _ => return Err(refuse(&from, "computes on quantised integers".to_owned())),
        }
        for output in from.output.iter().filter(|name| !name.is_empty()) {
            self.known.activations.insert(output.clone(), first.clone());
        }
        self.nodes.push(from);
        Ok(())
    }

    /// The padding value of integers, less the zero point.
    fn pad(&mut self, from: &mut NodeProto, zero: f32) -> Result<(), BackboneError> {
        let constant = node::attribute(from, "mode").is_none_or(|a| a.s == b"constant");
        if !constant {
            return Ok(());
        }
        let value = match node::input(from, 2) {
            Some(_) => self.constant(from, 2)?.values.first().copied().unwrap_or(0.0),
            None => node::float(from, "value", 0.0),
        };
        if from.input.len() < 2 {
            return Err(refuse(from, "has its pads as an attribute".to_owned()));
        }
        let name = self.add_constant(&format!("{}#value", from.output[0]), Constant::scalar(value - zero));
        from.input.resize(from.input.len().max(3), String::new());
        from.input[2] = name;
        Ok(())
    }
}
