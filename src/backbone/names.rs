//! Which tensors of a network are read, by name.

use serde::{Deserialize, Serialize};

/// Tensor names to use instead of those that are found; `None` finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TapChoice {
    /// The penultimate feature.
    pub feature: Option<String>,
    /// Pre-softmax class scores.
    pub logits: Option<String>,
    /// The feature map before global average pooling.
    pub map: Option<String>,
}

/// The tensors that are read from the network, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taps {
    /// The penultimate feature.
    pub feature: String,
    /// Pre-softmax class scores; `None` for an embedding network.
    pub logits: Option<String>,
    /// The map whose spatial mean is exactly the feature; `None` where there is none.
    pub map: Option<String>,
}
