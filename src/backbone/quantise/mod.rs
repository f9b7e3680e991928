//! A float network made into one of standard QuantizeLinear and DequantizeLinear pairs: int8 weights per channel, int8
//! activations per tensor, int32 biases. The feature and the classifier's head stay in float. Refuses networks that are
//! quantised already, and those in which nothing can be.

mod correction;
mod equalisation;
mod error;
mod folding;
mod opset;
mod pairs;
mod placement;
mod probe;
mod range;
mod weights;

use std::collections::HashMap;

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto};

pub use correction::{Correction, Moments};
pub use error::Unquantisable;
pub use probe::Probe;
pub use range::Range;

use super::error::BackboneError;
use super::names::TapChoice;
use super::network::Network;
use super::node;
use super::wiring;
use placement::Placement;

/// Who wrote the file, as it says.
const PRODUCER: &str = "shelfwatch quantize";

/// A float classifier, ready to be quantised: constants gathered, batch normalisations folded, opset 13 or newer.
#[derive(Clone)]
pub struct FloatNetwork {
    model: ModelProto,
    shape: [usize; 4],
    placement: Placement,
    folded: usize,
}

/// A quantised network as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantisedFile {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// Nodes of the float network that compute between quantised tensors.
    pub quantised: usize,
    /// Operators of the nodes that were left in float, in the order of the graph.
    pub left: Vec<String>,
}

impl FloatNetwork {
    /// Reads a float network for images of `shape` (N = 1, in the order of the file's own input).
    ///
    /// # Errors
    /// [`Unquantisable`]: all that [`super::Backbone::load`] refuses, and what cannot be quantised.
    pub fn read(onnx: &[u8], choice: &TapChoice, shape: [usize; 4]) -> Result<FloatNetwork, Unquantisable> {
        let mut model = ModelProto::decode(onnx).map_err(|e| BackboneError::NotOnnx(e.to_string()))?;
        if model.graph.iter().flat_map(|g| &g.node).any(quantises) {
            return Err(Unquantisable::Already);
        }
        Network::read(onnx, |_| Some(shape))?;
        let graph = wiring::tidy(&mut model)?;
        if let Some(holder) = graph.node.iter().find(|n| n.attribute.iter().any(|a| a.g.is_some())) {
            return Err(Unquantisable::Bodies { op: node::operator(holder), node: node::label(holder) });
        }
        let kept: Vec<&str> =
            [&choice.feature, &choice.logits, &choice.map].into_iter().flatten().map(|n| &n[..]).collect();
        folding::identities(graph, &kept);
        let folded = folding::normalisations(graph, &kept)?;
        opset::raise(&mut model)?;
        let placement = Placement::find(&model, choice, shape)?;
        if placement.pairs.is_empty() {
            return Err(Unquantisable::Nothing);
        }
        Ok(FloatNetwork { model, shape, placement, folded })
    }

    /// Batch normalisations that became part of a convolution.
    pub fn folded(&self) -> usize {
        self.folded
    }

    /// The tensors whose ranges have to be known, in the order of the graph.
    pub fn tensors(&self) -> &[String] {
        &self.placement.pairs
    }

    /// The same function with the channels between consecutive convolutions rescaled to like ranges, and the number of
    /// such places; `None` where there is none.
    ///
    /// # Errors
    /// For weights that cannot be read.
    pub fn equalised(&self) -> Result<Option<(FloatNetwork, usize)>, Unquantisable> {
        let mut other = self.clone();
        let count = equalisation::equalise(other.graph_mut()?)?;
        Ok((count > 0).then_some((other, count)))
    }

    /// The float file as it would be quantised.
    pub fn onnx(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    /// Runs images for the values of [`FloatNetwork::tensors`].
    ///
    /// # Errors
    /// Where the engine cannot run the network.
    pub fn observer(&self) -> Result<Probe, Unquantisable> {
        Ok(Probe::new(&self.model, self.shape, &self.placement.pairs)?)
    }

    /// The quantised file for these ranges, in the order of [`FloatNetwork::tensors`].
    ///
    /// # Errors
    /// For weights that cannot be read.
    pub fn quantise(&self, ranges: &[Range], correction: Option<&Correction>) -> Result<QuantisedFile, Unquantisable> {
        let (model, quantised) = self.quantised_model(ranges, correction)?;
        let left = self.placement.left.clone();
        Ok(QuantisedFile { onnx: model.encode_to_vec(), quantised, left })
    }

    fn quantised_model(
        &self,
        ranges: &[Range],
        correction: Option<&Correction>,
    ) -> Result<(ModelProto, usize), Unquantisable> {
        let mut model = self.model.clone();
        PRODUCER.clone_into(&mut model.producer_name);
        env!("CARGO_PKG_VERSION").clone_into(&mut model.producer_version);
        model.ir_version = model.ir_version.max(7);
        let by_name: HashMap<&str, Range> =
            self.placement.pairs.iter().map(String::as_str).zip(ranges.iter().copied()).collect();
        let graph = model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
        pairs::insert(graph, &self.placement, &by_name, correction)?;
        let used: Vec<&str> = graph.node.iter().map(|n| n.domain.as_str()).collect();
        model.opset_import.retain(|o| matches!(o.domain.as_str(), "" | "ai.onnx") || used.contains(&o.domain.as_str()));
        Ok((model, self.placement.quantised.len()))
    }

    fn graph_mut(&mut self) -> Result<&mut GraphProto, BackboneError> {
        self.model.graph.as_mut().ok_or(BackboneError::Empty("graph"))
    }
}

fn quantises(of: &tract_onnx::pb::NodeProto) -> bool {
    let op = of.op_type.as_str();
    op.starts_with("QLinear")
        || matches!(
            op,
            "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear" | "ConvInteger" | "MatMulInteger" | "QGemm"
        )
}
