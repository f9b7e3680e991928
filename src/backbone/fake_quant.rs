//! The one operator that quantised graphs become: divide, round, saturate, scale, in place on f32.
//! A quantised tensor is held as `q − zero point`, so its saturation bounds are shifted likewise.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{Datum, DatumType, Tensor, TractResult};
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::ops::element_wise::ElementWiseIntoHir;

use super::node;

/// Operator type under which the inference engine knows it.
pub(super) const FAKE_QUANT: &str = "ShelfwatchFakeQuant";

/// 1.5·2²³: adding it to |x| < 2²² leaves the nearest integer, ties to even, in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Saturates to whole bounds within ±2²¹ and rounds to the nearest integer, ties to even. NaN stays NaN.
#[inline]
pub(super) fn round(value: f32, low: f32, high: f32) -> f32 {
    let saturated = if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    };
    (saturated + ROUND) - ROUND
}

/// `y = scale · round_half_even(clamp(x / step, low, high))`, as ONNX `QuantizeLinear` defines
/// (`high − low` < 2¹⁷, both whole).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FakeQuant {
    /// Divisor before rounding.
    pub(super) step: f32,
    /// Least integer, zero point subtracted.
    pub(super) low: f32,
    /// Greatest integer, zero point subtracted.
    pub(super) high: f32,
    /// Factor after rounding: the step for a dequantised result, 1 for integers.
    pub(super) scale: f32,
}

impl Eq for FakeQuant {}

impl FakeQuant {
    pub(super) fn node(&self, from: &str, to: &str) -> NodeProto {
        let mut made = node::make(FAKE_QUANT, &[from], to);
        made.attribute = vec![
            node::float_attribute("step", self.step),
            node::float_attribute("low", self.low),
            node::float_attribute("high", self.high),
            node::float_attribute("scale", self.scale),
        ];
        made
    }

    #[expect(clippy::float_cmp, reason = "a step of exactly 1 needs no division")]
    pub(super) fn apply(&self, values: &mut [f32]) {
        let FakeQuant { step, low, high, scale } = *self;
        if step == 1.0 {
            for v in values {
                *v = round(*v, low, high) * scale;
            }
        } else {
            for v in values {
                *v = round(*v / step, low, high) * scale;
            }
        }
    }
}

impl ElementWiseMiniOp for FakeQuant {
    fn name(&self) -> String {
        FAKE_QUANT.to_owned()
    }

    fn operating_datum_type(&self, _: DatumType) -> DatumType {
        f32::datum_type()
    }

    fn eval_in_place(&self, tensor: &mut Tensor, _: Option<DatumType>) -> TractResult<()> {
        self.apply(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        Ok(())
    }
}

/// Builds the operator from its node, for the engine's register.
#[expect(clippy::unnecessary_wraps, reason = "the engine's register asks for this type")]
pub(super) fn build(_: &ParsingContext, from: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let op = FakeQuant {
        step: node::float(from, "step", 1.0),
        low: node::float(from, "low", 0.0),
        high: node::float(from, "high", 0.0),
        scale: node::float(from, "scale", 1.0),
    };
    Ok((ElementWiseOp(Box::new(op), None).into_hir(), vec![]))
}

#[cfg(test)]
mod tests {
    use super::FakeQuant;

    #[test]
    fn rounds_ties_to_even_and_saturates() {
        let q = FakeQuant { step: 0.5, low: -128.0, high: 127.0, scale: 0.5 };
        let mut v = [0.25, 0.75, -0.25, -0.75, 1.0e9, -1.0e9, 0.1, 0.26, f32::INFINITY];
        q.apply(&mut v);
        assert_eq!(v, [0.0, 1.0, 0.0, -1.0, 63.5, -64.0, 0.0, 0.5, 63.5]);
        let mut nan = [f32::NAN];
        q.apply(&mut nan);
        assert!(nan[0].is_nan());
    }
}
