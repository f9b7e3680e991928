//! Activation functions of one real.

use serde::{Deserialize, Serialize};

/// A function of one real, as ONNX defines it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Curve {
    /// `max(low, min(high, x))`, of which `Relu` is one.
    Clamp {
        /// Least.
        low: f32,
        /// Greatest.
        high: f32,
    },
    /// `max(0, min(1, alpha · x + beta))`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x · max(0, min(1, x / 6 + 1/2))`.
    HardSwish,
    /// `1 / (1 + e^−x)`.
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
    /// `x` where it is positive, else `alpha · x`.
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
}

impl Curve {
    /// The value at `x`.
    ///
    /// ```
    /// use shelfwatch_network::Curve;
    ///
    /// assert_eq!(Curve::HardSwish.at(3.0), 3.0);
    /// assert_eq!(Curve::Clamp { low: 0.0, high: 6.0 }.at(-1.0), 0.0);
    /// ```
    pub fn at(self, x: f32) -> f32 {
        match self {
            Curve::Clamp { low, high } => x.clamp(low.min(high), high),
            Curve::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Curve::HardSwish => x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0),
            Curve::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Curve::Silu => x / (1.0 + (-x).exp()),
            Curve::LeakyRelu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
        }
    }
}
