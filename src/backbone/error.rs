//! What can be wrong with a backbone, each with its remedy.

use thiserror::Error;

/// Why a network was refused, or why a frame could not be run through it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The bytes are not an ONNX protobuf.
    #[error("the file is not an ONNX model ({0}); export the network again as one .onnx file")]
    NotOnnx(String),
    /// The protobuf holds no graph, no node or no output.
    #[error("the ONNX graph has no {0}; export the network again")]
    Empty(&'static str),
    /// A graph has to have exactly one image input.
    #[error("the graph has {0} inputs besides its weights; export the network with the image as its only input")]
    Inputs(usize),
    /// The graph's edges make no sense.
    #[error("the graph is malformed: {0}; export the network again")]
    Malformed(String),
    /// Weights live beside the file.
    #[error(
        "weights of {0:?} are stored in a second file; save the model as one file (onnx.save with save_as_external_data=False)"
    )]
    ExternalData(String),
    /// An operator that cannot be run.
    #[error("operator {op} of node {node:?} is not supported; export with standard ONNX operators (opset 13 to 21)")]
    UnknownOp {
        /// Operator type, with its domain where it is not ONNX's own.
        op: String,
        /// Name of the node, or of its first output.
        node: String,
    },
    /// An operator that is known, in a form that is not.
    #[error("node {node:?} ({op}): {what}; export or quantise the network in another form")]
    Unsupported {
        /// Operator type.
        op: String,
        /// Name of the node, or of its first output.
        node: String,
        /// What about it cannot be done.
        what: String,
    },
    /// A tensor named by the user does not exist.
    #[error("the graph has no tensor {name:?} for the {role}; use one of: {near}")]
    UnknownTensor {
        /// `feature`, `logits` or `map`.
        role: &'static str,
        /// The name asked for.
        name: String,
        /// Names that exist.
        near: String,
    },
    /// Logits were named, but no weighted layer leads to them.
    #[error("no classifier layer leads to {0:?}; name the feature tensor too, or leave the logits out")]
    NoClassifier(String),
    /// A tensor has no use in the role it was given.
    #[error("tensor {name:?} cannot be the {role}: {what}; name another one")]
    Role {
        /// `feature`, `logits` or `map`.
        role: &'static str,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The graph's input leaves a dimension open that the caller did not give.
    #[error("input {name:?} has open dimensions ({shape}); give the image size in the preprocess recipe")]
    OpenShape {
        /// Input tensor.
        name: String,
        /// Its shape as exported.
        shape: String,
    },
    /// The graph's input and the size the caller gives do not agree.
    #[error(
        "input {name:?} takes {expected}, but images arrive as {found}; change size or layout in the preprocess recipe"
    )]
    InputShape {
        /// Input tensor.
        name: String,
        /// Shape of the graph.
        expected: String,
        /// Shape of the caller.
        found: String,
    },
    /// The graph's input is neither f32 nor uint8.
    #[error("input {name:?} is of type {dtype}; export the network with a float32 or uint8 image input")]
    InputType {
        /// Input tensor.
        name: String,
        /// Its element type.
        dtype: String,
    },
    /// A frame of the wrong element type.
    #[error("input {name:?} takes {expected} pixels, but got {found}; set dtype in the preprocess recipe")]
    PixelType {
        /// Input tensor.
        name: String,
        /// Element type of the graph.
        expected: &'static str,
        /// Element type of the frame.
        found: &'static str,
    },
    /// A frame of the wrong length.
    #[error("input {name:?} takes {expected} values, but got {found}; set the size in the preprocess recipe")]
    PixelCount {
        /// Input tensor.
        name: String,
        /// Values the graph takes.
        expected: usize,
        /// Values in the frame.
        found: usize,
    },
    /// A tensor would not fit into memory.
    #[error("tensor {name:?} would hold {elements} values; check the model and the image size")]
    TooLarge {
        /// The tensor.
        name: String,
        /// Its volume.
        elements: u128,
    },
    /// The network was given, or computed, NaN or infinity.
    #[error("{role} {name:?} holds NaN or infinity; check the image and the preprocess recipe (mean, std, scale)")]
    NotFinite {
        /// `input`, `feature` or `logits`.
        role: &'static str,
        /// The tensor.
        name: String,
    },
    /// A program of the network cannot be used, or its input is not that of the program.
    #[error("the network program is not usable: {0}; fit the shelf again with this version")]
    Program(String),
    /// The inference engine refused the graph.
    #[error(
        "the inference engine cannot {doing} the network: {why}; simplify the export (fixed input size, one image) or try another opset"
    )]
    Engine {
        /// `read`, `optimise` or `run`.
        doing: &'static str,
        /// The engine's words.
        why: String,
    },
}
