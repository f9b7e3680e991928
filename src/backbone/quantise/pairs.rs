//! Writes the pairs into a graph: activations, weights, biases, constants.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::correction::Correction;
use super::folding::{fresh, initializer};
use super::placement::Placement;
use super::range::{Range, Step};
use super::weights;
use crate::backbone::error::BackboneError;
use crate::backbone::node;
use crate::backbone::tensor::Constant;

/// What has been written so far.
struct Writer<'a> {
    graph: &'a mut GraphProto,
    placement: &'a Placement,
    ranges: &'a HashMap<&'a str, Range>,
    nodes: Vec<NodeProto>,
    /// The dequantised tensor of each that carries a pair.
    real: HashMap<String, String>,
    /// Names of scale and zero point, by the tensor whose range they cover.
    steps: HashMap<String, [String; 2]>,
}

/// Rewrites the graph for these ranges, by tensor.
pub(super) fn insert(
    graph: &mut GraphProto,
    placement: &Placement,
    ranges: &HashMap<&str, Range>,
    correction: Option<&Correction>,
) -> Result<(), BackboneError> {
    graph.value_info.clear();
    let inputs: Vec<String> = graph.input.iter().map(|i| i.name.clone()).collect();
    let nodes = std::mem::take(&mut graph.node);
    // Names stay taken while new ones are made.
    graph.node.clone_from(&nodes);
    let mut writer = Writer { graph, placement, ranges, nodes: vec![], real: HashMap::new(), steps: HashMap::new() };
    for name in &inputs {
        writer.pair(name);
    }
    for from in merged(nodes, &writer) {
        writer.node(from, correction)?;
    }
    let Writer { nodes, .. } = writer;
    graph.node = nodes;
    let used: HashSet<&str> = graph.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    graph.initializer.retain(|t| used.contains(t.name.as_str()) || outputs.contains(t.name.as_str()));
    // From IR version 4 on an initializer is no input.
    let initialised: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let read = |name: &str| used.contains(name) && !initialised.contains(name);
    graph.input.retain(|i| read(&i.name));
    Ok(())
}

/// The nodes, with every `Relu` and `Clip` that the quantisation behind it does anyway taken out.
fn merged(nodes: Vec<NodeProto>, writer: &Writer<'_>) -> Vec<NodeProto> {
    let mut kept: Vec<NodeProto> = Vec::with_capacity(nodes.len());
    for from in nodes {
        if writer.covers(&from)
            && let Some(before) = kept.iter_mut().rev().find(|n| n.output[0] == from.input[0])
        {
            before.output[0].clone_from(&from.output[0]);
            continue;
        }
        kept.push(from);
    }
    kept
}

impl Writer<'_> {
    fn step_of(&self, tensor: &str) -> Option<Step> {
        let origin = self.placement.same.get(tensor).map_or(tensor, String::as_str);
        Some(self.ranges.get(origin)?.step())
    }

    /// Whether saturation does all that this `Relu` or `Clip` does.
    fn covers(&self, from: &NodeProto) -> bool {
        let Some(step) = self.step_of(&from.output[0]).filter(|_| self.placement.absorbable.contains(&from.output[0]))
        else {
            return false;
        };
        if from.op_type == "Relu" {
            return step.saturates(0.0, false);
        }
        let bound = |index: usize| {
            let name = node::input(from, index)?;
            let read = initializer(self.graph, name).and_then(|t| Constant::read(t).ok());
            Some(read.and_then(|c| c.values.first().copied()).unwrap_or(f32::NAN))
        };
        bound(1).is_none_or(|low| step.saturates(low, false)) && bound(2).is_none_or(|high| step.saturates(high, true))
    }

    /// Writes a pair behind a tensor that is to have one.
    fn pair(&mut self, tensor: &str) {
        let Some(step) = self.step_of(tensor) else { return };
        let origin = self.placement.same.get(tensor).map_or(tensor, String::as_str).to_owned();
        let [scale, zero] = self.steps.get(&origin).cloned().unwrap_or_else(|| {
            let scale = self.push(&format!("{origin}_scale"), |name| weights::floats(name, &[], &[step.scale]));
            let zero = self.push(&format!("{origin}_zero_point"), |name| weights::bytes(name, &[], &[step.zero]));
            let names = [scale, zero];
            self.steps.insert(origin.clone(), names.clone());
            names
        });
        let q = fresh(self.graph, &format!("{tensor}_QuantizeLinear_Output"));
        let real = fresh(self.graph, &format!("{tensor}_DequantizeLinear_Output"));
        self.nodes.push(node::make("QuantizeLinear", &[tensor, &scale, &zero], &q));
        self.nodes.push(node::make("DequantizeLinear", &[&q, &scale, &zero], &real));
        self.real.insert(tensor.to_owned(), real);
    }

    /// Adds an initializer under a new name, and returns that.
    fn push(&mut self, name: &str, make: impl FnOnce(&str) -> TensorProto) -> String {
        let name = fresh(self.graph, name);
        self.graph.initializer.push(make(&name));
        name
    }

    fn node(&mut self, mut from: NodeProto, correction: Option<&Correction>) -> Result<(), BackboneError> {
        let quantised = self.placement.quantised.contains(&from.output[0]);
        if let Some(axis) = weights::axis(&from).filter(|_| quantised) {
            self.layer(&mut from, axis, correction)?;
        } else if quantised && matches!(from.op_type.as_str(), "Add" | "Mul" | "Sub") {
            for input in &mut from.input {
                if let Some(constant) = initializer(self.graph, input).map(Constant::read).transpose()? {
                    *input = self.number(input, &constant);
                }
            }
        }
        for input in &mut from.input {
            if let Some(real) = self.real.get(input) {
                input.clone_from(real);
            }
        }
        let outputs = from.output.clone();
        self.nodes.push(from);
        for output in outputs {
            self.pair(&output);
        }
        Ok(())
    }

    /// One number as its own scale times 127.
    fn number(&mut self, name: &str, constant: &Constant) -> String {
        let value = constant.values.first().copied().unwrap_or(0.0);
        let scale = if (value.abs() / 127.0).is_normal() { value.abs() / 127.0 } else { 1.0 };
        let q = (value / scale).round_ties_even() as i8;
        let scale = self.push(&format!("{name}_scale"), |n| weights::floats(n, &[], &[scale]));
        let zero = self.push(&format!("{name}_zero_point"), |n| weights::bytes(n, &[], &[0]));
        let integers = self.push(&format!("{name}_quantized"), |n| weights::bytes(n, &constant.dims, &[q]));
        let real = fresh(self.graph, &format!("{name}_DequantizeLinear_Output"));
        // Two nodes may read the same constant, and the name has to be new for each.
        let real = if self.nodes.iter().any(|n| n.output[0] == real) {
            fresh(self.graph, &integers.replace("_quantized", "_real"))
        } else {
            real
        };
        self.nodes.push(node::make("DequantizeLinear", &[&integers, &scale, &zero], &real));
        real
    }

    fn layer(
        &mut self,
        from: &mut NodeProto,
        axis: usize,
        correction: Option<&Correction>,
    ) -> Result<(), BackboneError> {
        let missing = || BackboneError::Malformed(format!("node {:?} has lost its weights", node::label(from)));
        let read = |graph: &GraphProto, name: &str| initializer(graph, name).map(Constant::read).transpose();
        let floats = read(self.graph, &from.input[1])?.ok_or_else(missing)?;
        let channels = floats.dims[axis];
        let mut bias = match node::input(from, 2) {
            Some(name) => read(self.graph, name)?.map(|b| b.values),
            None => None,
        };
        if let Some(shift) = correction.and_then(|c| c.of(&from.output[0])).filter(|_| from.op_type != "MatMul") {
            let bias = bias.get_or_insert_with(|| vec![0.0; channels]);
            bias.iter_mut().zip(shift).for_each(|(b, s)| *b += s);
        }
        let input_scale = self.step_of(&from.input[0]).map_or(1.0, |s| s.scale);
        let quantised = weights::quantise(&floats, axis, bias.as_deref(), input_scale);
        let name = from.input[1].clone();
        let integers =
            self.push(&format!("{name}_quantized"), |n| weights::bytes(n, &floats.dims, &quantised.integers));
        let scale = self.push(&format!("{name}_scale"), |n| weights::floats(n, &[channels], &quantised.scales));
        let zero = self.push(&format!("{name}_zero_point"), |n| weights::bytes(n, &[channels], &vec![0; channels]));
        from.input[1] = self.dequantised(&[&integers, &scale, &zero], axis, &name);
        if let Some(bias) = bias {
            let units: Vec<f32> = quantised.scales.iter().map(|s| s * input_scale).collect();
            let name = node::input(from, 2).map_or_else(|| format!("{}_bias", from.output[0]), str::to_owned);
            let integers = weights::bias(&bias, &units);
            let integers = self.push(&format!("{name}_quantized"), |n| weights::words(n, &[channels], &integers));
            let scale = self.push(&format!("{name}_quantized_scale"), |n| weights::floats(n, &[channels], &units));
            let real = self.dequantised(&[&integers, &scale], 0, &name);
            from.input.resize(3, String::new());
            from.input[2] = real;
        }
        Ok(())
    }

    /// A DequantizeLinear of constants along an axis.
    fn dequantised(&mut self, inputs: &[&str], axis: usize, name: &str) -> String {
        let mut real = fresh(self.graph, &format!("{name}_DequantizeLinear_Output"));
        while self.nodes.iter().any(|n| n.output[0] == real) {
            real.push('_');
        }
        let mut made = node::make("DequantizeLinear", inputs, &real);
        made.attribute = vec![node::int_attribute("axis", axis as i64)];
        self.nodes.push(made);
        real
    }
}
