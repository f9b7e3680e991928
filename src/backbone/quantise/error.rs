//! Why a network cannot be quantised, each with its remedy.

use thiserror::Error;

use crate::backbone::BackboneError;

/// Why a network cannot be quantised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unquantisable {
    /// It is no network that could be run at all.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The file holds operators of quantisation.
    #[error("the network is quantised already; give the float ONNX file that it was made from, or fit on it as it is")]
    Already,
    /// No layer with weights outside the classifier's head.
    #[error(
        "nothing in the network can be quantised: no Conv, Gemm or MatMul with float32 weights before its feature; use it as it is"
    )]
    Nothing,
    /// `If`, `Loop` and the like.
    #[error("node {node:?} ({op}) holds a graph of its own; export the network without control flow")]
    Bodies {
        /// Operator type.
        op: String,
        /// Name of the node, or of its first output.
        node: String,
    },
    /// An old opset, with an operator that means something else since.
    #[error(
        "node {node:?} ({op}) of opset {opset} cannot be raised to opset 13; export the network with opset 13 or newer"
    )]
    Opset {
        /// Operator type.
        op: String,
        /// Name of the node, or of its first output.
        node: String,
        /// The file's opset.
        opset: i64,
    },
}
