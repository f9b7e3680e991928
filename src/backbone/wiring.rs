//! The graph as edges: who makes a tensor, which tensors are constant; checking, tidying, pruning.
//! Refuses graphs whose nodes are out of order, make a tensor twice, or read one that nobody makes.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use super::error::BackboneError;
use super::node;
use super::tensor::Constant;

/// Checks the edges and turns `Constant` nodes into initializers.
pub(super) fn tidy(model: &mut ModelProto) -> Result<&mut GraphProto, BackboneError> {
    let graph = model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
    if graph.node.is_empty() {
        return Err(BackboneError::Empty("nodes"));
    }
    if graph.output.is_empty() {
        return Err(BackboneError::Empty("output"));
    }
    let malformed = BackboneError::Malformed;
    let mut kept = Vec::with_capacity(graph.node.len());
    for from in std::mem::take(&mut graph.node) {
        if from.op_type == "Constant"
            && from.output.len() == 1
            && let Some(tensor) = constant(&from)
        {
            graph.initializer.push(tensor);
            continue;
        }
        kept.push(from);
    }
    graph.node = kept;
    let mut made: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        if !made.insert(&tensor.name) {
            return Err(malformed(format!("initializer {:?} stands twice", tensor.name)));
        }
    }
    made.extend(graph.input.iter().map(|i| i.name.as_str()));
    for from in &graph.node {
        if from.output.iter().all(String::is_empty) {
            return Err(malformed(format!("node {:?} ({}) has no output", from.name, from.op_type)));
        }
        if let Some(lost) = from.input.iter().find(|i| !i.is_empty() && !made.contains(i.as_str())) {
            return Err(malformed(format!(
                "node {:?} reads {lost:?}, which nothing before it makes",
                node::label(from)
            )));
        }
        for output in from.output.iter().filter(|o| !o.is_empty()) {
            if !made.insert(output) {
                return Err(malformed(format!("tensor {output:?} is made twice")));
            }
        }
    }
    if let Some(lost) = graph.output.iter().find(|o| !made.contains(o.name.as_str())) {
        return Err(malformed(format!("output {:?} is made by no node", lost.name)));
    }
    Ok(graph)
}

/// The tensor of a `Constant` node, where it holds one.
fn constant(from: &NodeProto) -> Option<TensorProto> {
    let attribute = from.attribute.first()?;
    let int64 = |dims: Vec<i64>, data: Vec<i64>| TensorProto {
        dims,
        data_type: tract_onnx::pb::tensor_proto::DataType::Int64 as i32,
        int64_data: data,
        ..TensorProto::default()
    };
    let mut tensor = match attribute.name.as_str() {
        "value" => attribute.t.clone()?,
        "value_float" => Constant::scalar(attribute.f).write(""),
        "value_floats" => Constant { dims: vec![attribute.floats.len()], values: attribute.floats.clone() }.write(""),
        "value_int" => int64(vec![], vec![attribute.i]),
        "value_ints" => int64(vec![attribute.ints.len() as i64], attribute.ints.clone()),
        _ => return None,
    };
    tensor.name.clone_from(&from.output[0]);
    Some(tensor)
}

/// Keeps only what the tensors `needed` are computed from, and makes them the outputs, in this order.
pub(super) fn prune(graph: &mut GraphProto, needed: &[&str]) {
    let mut wanted: HashSet<String> = needed.iter().map(|&n| n.to_owned()).collect();
    let mut keep = vec![false; graph.node.len()];
    for (at, from) in graph.node.iter().enumerate().rev() {
        if from.output.iter().any(|o| wanted.contains(o)) {
            keep[at] = true;
            wanted.extend(from.input.iter().cloned());
            inner_names(from, &mut wanted);
        }
    }
    let mut flags = keep.into_iter();
    graph.node.retain(|_| flags.next().unwrap_or(false));
    graph.initializer.retain(|t| wanted.contains(&t.name));
    let initialised: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    graph.input.retain(|i| !initialised.contains(i.name.as_str()));
    graph.value_info.clear();
    graph.output = needed
        .iter()
        .map(|&name| tract_onnx::pb::ValueInfoProto { name: name.to_owned(), ..Default::default() })
        .collect();
}

/// Names that the bodies of `If` and `Loop` nodes take from the graph around them.
fn inner_names(from: &NodeProto, names: &mut HashSet<String>) {
    for body in from.attribute.iter().filter_map(|a| a.g.as_ref()) {
        names.extend(body.output.iter().map(|o| o.name.clone()));
        for inner in &body.node {
            names.extend(inner.input.iter().cloned());
            inner_names(inner, names);
        }
    }
}

/// Read access to the edges of a tidy graph.
pub(super) struct Wiring<'g> {
    pub(super) graph: &'g GraphProto,
    makers: HashMap<&'g str, &'g NodeProto>,
    constants: HashSet<&'g str>,
    initializers: HashMap<&'g str, &'g TensorProto>,
}

impl<'g> Wiring<'g> {
    pub(super) fn new(graph: &'g GraphProto) -> Wiring<'g> {
        let mut makers = HashMap::new();
        let initializers: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
        let mut constants: HashSet<&str> = initializers.keys().copied().collect();
        for from in &graph.node {
            let mut inputs = from.input.iter().filter(|i| !i.is_empty()).peekable();
            let bodies = from.attribute.iter().any(|a| a.g.is_some());
            let constant = !bodies && inputs.peek().is_some() && inputs.all(|i| constants.contains(i.as_str()));
            for output in from.output.iter().filter(|o| !o.is_empty()) {
                makers.insert(output.as_str(), from);
                if constant {
                    constants.insert(output);
                }
            }
        }
        Wiring { graph, makers, constants, initializers }
    }

    pub(super) fn maker(&self, tensor: &str) -> Option<&'g NodeProto> {
        self.makers.get(tensor).copied()
    }

    pub(super) fn is_constant(&self, tensor: &str) -> bool {
        self.constants.contains(tensor)
    }

    pub(super) fn initializer(&self, tensor: &str) -> Option<&'g TensorProto> {
        self.initializers.get(tensor).copied()
    }

    /// Whether a frame flows through this tensor: made by a node, and not constant.
    pub(super) fn is_activation(&self, tensor: &str) -> bool {
        self.makers.contains_key(tensor) && !self.constants.contains(tensor)
    }

    /// The inputs of the graph that no initializer fills.
    pub(super) fn inputs(graph: &GraphProto) -> Vec<usize> {
        let initialised: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        (0..graph.input.len()).filter(|&i| !initialised.contains(graph.input[i].name.as_str())).collect()
    }
}
