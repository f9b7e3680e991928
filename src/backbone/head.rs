//! The classifier's weights and bias as real numbers: `logits = W·feature + b`.

/// The last weighted layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// W, C×D row-major.
    pub weights: Vec<f32>,
    /// b, length C.
    pub bias: Vec<f32>,
    /// C.
    pub classes: usize,
    /// D.
    pub dim: usize,
}
