//! Activation functions of one real.
#![expect(clippy::inline_always, reason = "compiled again inside of functions with other instructions")]

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
    /// The value at `x`. Machines compute [`Curve::Sigmoid`] and [`Curve::Silu`] of many values otherwise, to a relative
    /// 1e-6, with the same bits on every processor; all others are this.
    ///
    /// ```
    /// use shelfwatch_network::Curve;
    ///
    /// assert_eq!(Curve::HardSwish.at(3.0), 3.0);
    /// assert_eq!(Curve::Clamp { low: 0.0, high: 6.0 }.at(-1.0), 0.0);
    /// ```
    #[inline(always)]
    pub fn at(self, x: f32) -> f32 {
        match self {
            Curve::Clamp { low, high } => clamped(x, low, high),
            Curve::HardSigmoid { alpha, beta } => clamped(alpha * x + beta, 0.0, 1.0),
            Curve::HardSwish => x * clamped(x * (1.0 / 6.0) + 0.5, 0.0, 1.0),
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

/// `value` within bounds. NaN stays NaN.
#[inline(always)]
pub(crate) fn clamped(value: f32, low: f32, high: f32) -> f32 {
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}
