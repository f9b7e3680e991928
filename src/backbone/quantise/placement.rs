//! Which tensors carry a QuantizeLinear/DequantizeLinear pair, which take over their neighbour's scale, and which nodes
//! stay in float: the classifier's head, what leads from the last map to the feature, and what int8 arithmetic is not
//! defined for.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto};

use super::folding::uses;
use crate::backbone::engine::Fact;
use crate::backbone::error::BackboneError;
use crate::backbone::names::TapChoice;
use crate::backbone::network::Network;
use crate::backbone::node;
use crate::backbone::tensor::dims;
use crate::backbone::wiring::Wiring;

/// Layers with weights.
const WEIGHTED: [&str; 3] = ["Conv", "Gemm", "MatMul"];

/// Operators that compute on values.
const COMPUTES: [&str; 14] = [
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mul",
    "ReduceMean",
    "Relu",
    "Sigmoid",
    "Sub",
    "Tanh",
];

/// Operators that only move or select values: their output has the scale of their input.
const MOVES: [&str; 13] = [
    "DepthToSpace",
    "Flatten",
    "GlobalMaxPool",
    "MaxPool",
    "Pad",
    "ReduceMax",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The decision for one graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Placement {
    /// Tensors with a range of their own, in the order of the graph.
    pub(super) pairs: Vec<String>,
    /// Tensors with the parameters of another.
    pub(super) same: HashMap<String, String>,
    /// Nodes, by their first output, that compute between pairs.
    pub(super) quantised: HashSet<String>,
    /// `Relu` and `Clip` nodes, by their output, that may become the saturation of the node before them.
    pub(super) absorbable: HashSet<String>,
    /// Operators of the other nodes.
    pub(super) left: Vec<String>,
}

/// What is known while deciding.
struct Survey<'g> {
    wiring: &'g Wiring<'g>,
    facts: &'g HashMap<String, Fact>,
    uses: HashMap<&'g str, usize>,
    /// Tensors that stay in float, without a pair.
    bare: HashSet<String>,
    /// Nodes that stay in float, by their first output.
    float: HashSet<String>,
}

impl Placement {
    pub(super) fn find(model: &ModelProto, choice: &TapChoice, shape: [usize; 4]) -> Result<Placement, BackboneError> {
        let network = Network::read(&model.encode_to_vec(), |_| Some(shape))?;
        let taps = network.plan(choice)?.taps;
        let graph = model.graph.as_ref().ok_or(BackboneError::Empty("graph"))?;
        let wiring = Wiring::new(graph);
        let mut survey = Survey {
            wiring: &wiring,
            facts: &network.facts,
            uses: uses(graph),
            bare: HashSet::new(),
            float: HashSet::new(),
        };
        survey.spare(&taps.feature);
        let named = [&choice.feature, &choice.logits, &choice.map];
        let kept: Vec<&String> = named.into_iter().flatten().chain([&taps.feature]).collect();
        let mut found = Placement::default();
        for from in &graph.node {
            let output = &from.output[0];
            if !wiring.is_activation(output) {
                continue;
            }
            if !survey.quantisable(from) {
                found.left.push(node::operator(from));
                continue;
            }
            found.quantised.insert(output.clone());
            if survey.absorbs(from, &found, &kept) {
                found.absorbable.insert(output.clone());
            }
        }
        // A network of pools and additions alone gains nothing.
        let weighted = |n: &NodeProto| WEIGHTED.contains(&n.op_type.as_str()) && found.quantised.contains(&n.output[0]);
        if graph.node.iter().any(weighted) {
            survey.pair(&mut found);
        }
        Ok(found)
    }
}

impl Survey<'_> {
    /// Keeps in float what leads from the last map to the feature, and all that is computed from the feature.
    fn spare(&mut self, feature: &str) {
        let mut open = vec![feature.to_owned()];
        while let Some(tensor) = open.pop() {
            if !self.bare.insert(tensor.clone()) {
                continue;
            }
            let Some(maker) = self.wiring.maker(&tensor) else { continue };
            if WEIGHTED.contains(&maker.op_type.as_str()) || !self.is_vector(&tensor) {
                continue;
            }
            self.float.insert(maker.output[0].clone());
            let before = maker.input.iter().filter(|i| self.wiring.is_activation(i) && self.is_vector(i));
            open.extend(before.cloned());
        }
        let mut behind: HashSet<&str> = HashSet::from([feature]);
        for from in &self.wiring.graph.node {
            if from.input.iter().any(|i| behind.contains(i.as_str())) {
                behind.extend(from.output.iter().map(String::as_str));
                self.float.insert(from.output[0].clone());
                self.bare.extend(from.output.iter().cloned());
            }
        }
    }

    /// Whether a tensor is one vector per image.
    fn is_vector(&self, tensor: &str) -> bool {
        let shape = self.facts.get(tensor).and_then(Fact::full);
        shape.is_some_and(|s| s.len() <= 2 || s.len() == 4 && s[2..] == [1, 1])
    }

    fn is_float(&self, tensor: &str) -> bool {
        self.facts.get(tensor).is_some_and(|f| f.dtype == "f32")
    }

    /// Activations that a node reads.
    fn activations<'n>(&self, from: &'n NodeProto) -> impl Iterator<Item = &'n String> {
        let inputs = from.input.iter().filter(|i| !i.is_empty() && !self.wiring.is_constant(i));
        inputs.take(if MOVES.contains(&from.op_type.as_str()) { 1 } else { usize::MAX })
    }

    fn quantisable(&self, from: &NodeProto) -> bool {
        let op = from.op_type.as_str();
        let own = matches!(from.domain.as_str(), "" | "ai.onnx");
        let alone = from.output.iter().filter(|o| !o.is_empty()).count() == 1;
        if !own || !alone || self.float.contains(&from.output[0]) || !self.is_float(&from.output[0]) {
            return false;
        }
        if !self.activations(from).all(|i| self.is_float(i)) || self.activations(from).next().is_none() {
            return false;
        }
        match op {
            "Conv" | "Gemm" | "MatMul" => self.layer(from).is_some(),
            // Vectors of constants lose too much to eight bits; one number loses nothing.
            "Add" | "Mul" | "Sub" => self.constants(from).all(|c| self.number(c)),
            "Concat" => self.constants(from).next().is_none(),
            "Clip" => from.input.iter().skip(1).all(|b| b.is_empty() || self.number(b)),
            "Pad" => pads_zero(from, self.wiring),
            op => COMPUTES.contains(&op) || MOVES.contains(&op),
        }
    }

    fn constants<'n>(&self, from: &'n NodeProto) -> impl Iterator<Item = &'n String> {
        from.input.iter().filter(|i| !i.is_empty() && self.wiring.is_constant(i))
    }

    /// Whether a constant is one float.
    fn number(&self, name: &str) -> bool {
        let tensor = self.wiring.initializer(name).filter(|t| t.data_type == DataType::Float as i32);
        tensor.and_then(|t| dims(t).ok()).is_some_and(|d| d.iter().product::<usize>() == 1)
    }

    /// Dimensions of a layer's weights, where weights and bias are such as can be quantised.
    fn layer(&self, from: &NodeProto) -> Option<Vec<usize>> {
        let float = |name: &str| self.wiring.initializer(name).filter(|t| t.data_type == DataType::Float as i32);
        if self.wiring.is_constant(node::input(from, 0)?) {
            return None;
        }
        let weights = dims(float(node::input(from, 1)?)?).ok()?;
        let channels = *weights.get(super::weights::axis(from)?)?;
        if let Some(bias) = node::input(from, 2) {
            let bias = dims(float(bias)?).ok()?;
            if bias != [channels] {
                return None;
            }
        }
        let plain = |name: &str| node::attribute(from, name).is_none_or(|a| a.f.to_bits() == 1.0_f32.to_bits());
        let rank = if from.op_type == "Conv" { 4 } else { 2 };
        let sound = plain("alpha") && plain("beta") && node::int(from, "transA", 0) == 0;
        (sound && weights.len() == rank && !weights.contains(&0)).then_some(weights)
    }

    /// Whether a `Relu` or `Clip` may become part of the node before it: that one is quantised, nobody else reads what
    /// it makes, and nobody has named it.
    fn absorbs(&self, from: &NodeProto, found: &Placement, kept: &[&String]) -> bool {
        let Some(input) = node::input(from, 0).filter(|_| matches!(from.op_type.as_str(), "Relu" | "Clip")) else {
            return false;
        };
        let Some(before) = self.wiring.maker(input) else { return false };
        let computes =
            WEIGHTED.contains(&before.op_type.as_str()) || matches!(before.op_type.as_str(), "Add" | "Mul" | "Sub");
        computes
            && found.quantised.contains(&before.output[0])
            && self.uses.get(input) == Some(&1)
            && !kept.iter().any(|name| *name == input)
    }

    /// Whether an addition of a constant vector follows, and nothing else: a bias in a node of its own.
    fn biased(&self, from: &NodeProto) -> bool {
        let output = &from.output[0];
        let mut readers = self.wiring.graph.node.iter().filter(|n| n.input.contains(output));
        let only = readers.next().filter(|_| readers.next().is_none() && self.uses.get(output.as_str()) == Some(&1));
        from.op_type == "MatMul" && only.is_some_and(|n| n.op_type == "Add" && self.constants(n).next().is_some())
    }

    fn pair(&self, found: &mut Placement) {
        let mut absorbed: HashSet<&str> = HashSet::new();
        for from in &self.wiring.graph.node {
            if found.absorbable.contains(&from.output[0]) {
                absorbed.extend(node::input(from, 0));
            }
        }
        let mut done: HashSet<String> = HashSet::new();
        for from in self.wiring.graph.node.iter().filter(|n| found.quantised.contains(&n.output[0])) {
            let output = (!self.biased(from)).then_some(&from.output[0]);
            for tensor in self.activations(from).chain(output) {
                if self.bare.contains(tensor) || absorbed.contains(tensor.as_str()) || !done.insert(tensor.clone()) {
                    continue;
                }
                let source = self
                    .wiring
                    .maker(tensor)
                    .filter(|m| MOVES.contains(&m.op_type.as_str()) && found.quantised.contains(&m.output[0]))
                    .and_then(|m| m.input.first());
                match source.filter(|s| done.contains(*s) && !self.bare.contains(*s)) {
                    Some(source) => {
                        let origin = found.same.get(source).unwrap_or(source).clone();
                        found.same.insert(tensor.clone(), origin);
                    }
                    None => found.pairs.push(tensor.clone()),
                }
            }
        }
    }
}

/// Whether a `Pad` fills with zero, or with values that are there already.
fn pads_zero(from: &NodeProto, wiring: &Wiring<'_>) -> bool {
    if node::attribute(from, "mode").is_some_and(|a| a.s != b"constant") {
        return true;
    }
    let Some(name) = node::input(from, 2) else { return true };
    let value = wiring.initializer(name).and_then(|t| crate::backbone::tensor::Constant::read(t).ok());
    value.is_some_and(|v| v.values.iter().all(|&v| v == 0.0))
}
