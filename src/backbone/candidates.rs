//! Lists the tensors of an ONNX file that may serve as feature, logits or map.

use std::collections::HashSet;

use serde::Serialize;
use tract_onnx::pb::NodeProto;

use super::engine::Fact;
use super::error::BackboneError;
use super::fake_quant::FAKE_QUANT;
use super::input_spec::{InputSpec, Layout};
use super::names::{TapChoice, Taps};
use super::network::Network;
use super::node;
use super::requant::REQUANT;
use super::wiring::Wiring;

/// Height and width assumed for the listing where the file leaves them open.
const ASSUMED_SIZE: usize = 224;

/// What a tensor may serve as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// One vector per image.
    Feature,
    /// Class scores: what a weighted layer makes of a feature.
    Logits,
    /// One vector per position.
    Map,
}

/// A tensor that may be named as a tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Tensor name, as `--feature`, `--logits` and `--map` take it.
    pub tensor: String,
    /// Operator that makes it.
    pub op: String,
    /// Shape for one image.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: String,
    /// What it may serve as.
    pub role: Role,
    /// Whether it is what would be taken.
    pub chosen: bool,
}

/// What `inspect` says of an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidates {
    /// The image input as declared.
    pub input: InputSpec,
    /// The shape for which the tensors are listed.
    pub shape: [usize; 4],
    /// Tool that wrote the file, as it says.
    pub producer: String,
    /// Version of ONNX's operators.
    pub opset: i64,
    /// Nodes in the file.
    pub nodes: usize,
    /// Whether the file is quantised.
    pub quantised: bool,
    /// What would be taken.
    pub taps: Taps,
    /// Plausible tensors, from the image towards the output.
    pub tensors: Vec<Candidate>,
}

/// Lists the candidates. `input_shape` as in [`super::Backbone::load`]; open heights and widths are
/// taken as 224 where it is `None`.
///
/// # Errors
/// As [`super::Backbone::load`], as far as reading goes.
pub fn inspect(onnx: &[u8], input_shape: Option<[usize; 4]>) -> Result<Candidates, BackboneError> {
    let network = Network::read(onnx, |spec| {
        input_shape.or_else(|| {
            let assumed = match spec.layout {
                Some(Layout::Nhwc) => [1, ASSUMED_SIZE, ASSUMED_SIZE, 3],
                _ => [1, 3, ASSUMED_SIZE, ASSUMED_SIZE],
            };
            Some(std::array::from_fn(|at| if at == 0 { 1 } else { spec.shape[at].unwrap_or(assumed[at]) }))
        })
    })?;
    let graph = network.graph()?;
    let taps = network.plan(&TapChoice::default())?.taps;
    let wiring = Wiring::new(graph);
    let pooled: HashSet<&str> = graph.node.iter().filter(|n| pools(n)).filter_map(|n| node::input(n, 0)).collect();
    let mut tensors = vec![];
    for maker in &graph.node {
        for tensor in maker.output.iter().filter(|t| !t.is_empty() && !t.contains('#') && wiring.is_activation(t)) {
            let Some(shape) = network.facts.get(tensor).and_then(Fact::full) else { continue };
            let chosen = |tap: Option<&String>| tap == Some(tensor);
            let vector = shape.first() == Some(&1) && shape.iter().filter(|&&d| d > 1).count() == 1;
            let role = if chosen(Some(&taps.feature)) {
                Role::Feature
            } else if chosen(taps.logits.as_ref()) || vector && weighted(maker) {
                Role::Logits
            } else if chosen(taps.map.as_ref()) || shape.len() == 4 && pooled.contains(tensor.as_str()) {
                Role::Map
            } else if vector {
                Role::Feature
            } else {
                continue;
            };
            let dtype = network.rewritten.activations.get(tensor).map_or_else(
                || network.facts.get(tensor).map(|f| f.dtype.clone()).unwrap_or_default(),
                |q| format!("{:?}", q.kind).to_lowercase(),
            );
            tensors.push(Candidate {
                tensor: tensor.clone(),
                op: shown(maker),
                shape,
                dtype,
                role,
                chosen: chosen(Some(&taps.feature)) || chosen(taps.logits.as_ref()) || chosen(taps.map.as_ref()),
            });
        }
    }
    let opset = network.model.opset_import.iter().find(|o| matches!(o.domain.as_str(), "" | "ai.onnx"));
    Ok(Candidates {
        shape: network.shape,
        producer: network.model.producer_name.clone(),
        opset: opset.map_or(0, |o| o.version),
        nodes: graph.node.len(),
        quantised: network.rewritten.quantised,
        input: network.spec,
        taps,
        tensors,
    })
}

fn pools(maker: &NodeProto) -> bool {
    matches!(maker.op_type.as_str(), "GlobalAveragePool" | "AveragePool" | "ReduceMean" | "GlobalMaxPool")
}

fn weighted(maker: &NodeProto) -> bool {
    matches!(maker.op_type.as_str(), "Gemm" | "MatMul" | REQUANT)
}

/// The operator as the file has it, or nearly so.
fn shown(maker: &NodeProto) -> String {
    match maker.op_type.as_str() {
        FAKE_QUANT => "QuantizeLinear".to_owned(),
        REQUANT => "QLinear".to_owned(),
        _ => node::operator(maker),
    }
}
