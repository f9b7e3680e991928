//! Nodes that vanish before quantising: those that do nothing, and batch normalisations behind a convolution.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, TensorProto};

use crate::backbone::error::BackboneError;
use crate::backbone::node;
use crate::backbone::tensor::Constant;

/// How often each tensor is read, the graph's outputs included.
pub(super) fn uses(graph: &GraphProto) -> HashMap<&str, usize> {
    let mut uses = HashMap::new();
    let read = graph.node.iter().flat_map(|n| &n.input).chain(graph.output.iter().map(|o| &o.name));
    for name in read.filter(|name| !name.is_empty()) {
        *uses.entry(name.as_str()).or_default() += 1;
    }
    uses
}

/// Takes out `Identity` and (in inference, the same) `Dropout`, but for outputs of the graph and tensors in `kept`.
pub(super) fn identities(graph: &mut GraphProto, kept: &[&str]) {
    let outputs: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let mut renamed: HashMap<String, String> = HashMap::new();
    graph.node.retain_mut(|from| {
        for input in &mut from.input {
            if let Some(source) = renamed.get(input) {
                input.clone_from(source);
            }
        }
        let idle = match from.op_type.as_str() {
            "Identity" => true,
            "Dropout" => from.output.len() == 1,
            _ => false,
        };
        let (Some(input), [output, ..]) = (from.input.first(), &from.output[..]) else { return true };
        if !idle || outputs.contains(output) || kept.contains(&output.as_str()) {
            return true;
        }
        renamed.insert(output.clone(), input.clone());
        false
    });
}

/// Multiplies batch normalisations into the convolution before them, where nothing else reads that. Returns how many.
pub(super) fn normalisations(graph: &mut GraphProto, kept: &[&str]) -> Result<usize, BackboneError> {
    let mut folded = 0;
    let mut at = 0;
    while at < graph.node.len() {
        if let Some((before, weights, bias)) = fold(graph, at, kept)? {
            let output = graph.node[at].output[0].clone();
            let names = [fresh(graph, &format!("{output}_weight")), fresh(graph, &format!("{output}_bias"))];
            graph.initializer.push(weights.write(&names[0]));
            graph.initializer.push(bias.write(&names[1]));
            let convolution = &mut graph.node[before];
            let [weights, bias] = names;
            convolution.input.truncate(1);
            convolution.input.extend([weights, bias]);
            convolution.output[0] = output;
            graph.node.remove(at);
            folded += 1;
        } else {
            at += 1;
        }
    }
    Ok(folded)
}

/// For a batch normalisation at `at` that can be folded: the convolution, and its new weights and bias.
fn fold(graph: &GraphProto, at: usize, kept: &[&str]) -> Result<Option<(usize, Constant, Constant)>, BackboneError> {
    let from = &graph.node[at];
    if from.op_type != "BatchNormalization" || node::int(from, "training_mode", 0) != 0 {
        return Ok(None);
    }
    let Some(input) = node::input(from, 0) else { return Ok(None) };
    let makes = |n: &tract_onnx::pb::NodeProto| n.output.iter().any(|o| o == input);
    let Some(before) = graph.node.iter().position(makes) else { return Ok(None) };
    let convolution = &graph.node[before];
    if convolution.op_type != "Conv" || kept.contains(&input) || uses(graph).get(input) != Some(&1) {
        return Ok(None);
    }
    let read = |name: Option<&str>| name.and_then(|name| initializer(graph, name)).map(Constant::read).transpose();
    let Some(mut weights) = read(node::input(convolution, 1))? else { return Ok(None) };
    let mut parts = Vec::new();
    for index in 1..5 {
        match read(node::input(from, index))? {
            Some(part) if Some(&part.values.len()) == weights.dims.first() => parts.push(part.values),
            _ => return Ok(None),
        }
    }
    let channels = parts[0].len();
    let mut bias = match node::input(convolution, 2) {
        None => vec![0.0; channels],
        named => match read(named)? {
            Some(bias) if bias.values.len() == channels => bias.values,
            _ => return Ok(None),
        },
    };
    let epsilon = f64::from(node::float(from, "epsilon", 1e-5));
    let row = weights.values.len() / channels.max(1);
    for channel in 0..channels {
        let [gamma, beta, mean, variance] = std::array::from_fn(|part| f64::from(parts[part][channel]));
        let factor = gamma / (variance + epsilon).sqrt();
        for weight in &mut weights.values[channel * row..][..row] {
            *weight = (f64::from(*weight) * factor) as f32;
        }
        bias[channel] = ((f64::from(bias[channel]) - mean) * factor + beta) as f32;
    }
    Ok(Some((before, weights, Constant { dims: vec![channels], values: bias })))
}

pub(super) fn initializer<'g>(graph: &'g GraphProto, name: &str) -> Option<&'g TensorProto> {
    graph.initializer.iter().find(|t| t.name == name)
}

/// `name`, or with as many underscores behind it as make it new.
pub(super) fn fresh(graph: &GraphProto, name: &str) -> String {
    let taken = |name: &str| {
        initializer(graph, name).is_some()
            || graph.input.iter().any(|i| i.name == name)
            || graph.node.iter().any(|n| n.output.iter().any(|o| o == name))
    };
    let mut name = name.to_owned();
    while taken(&name) {
        name.push('_');
    }
    name
}
