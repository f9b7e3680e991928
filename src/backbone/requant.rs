//! Integer sums brought to the scale of their output, channel by channel, in place on f32.
//! One node, so that the engine cannot fold the factors into the weights: the sums stay exact.

use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{
    Datum, DatumExt, IntoTensor, SpecialOps, TVec, TractError, TractResult, TypedFact, TypedModel, tvec,
};
use tract_onnx::tract_core::internal::{EvalContext, EvalOp, Op, OutletId, StaticName, TValue, TypedOp};
use tract_onnx::tract_core::{as_op, op_as_typed_op, op_out_of_plan};
use tract_onnx::tract_hir::infer::{InferenceOp, InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::internal::{Expansion, IntoTValue, expand};

use super::fake_quant::round;
use super::node;

/// Operator type under which the inference engine knows it.
pub(super) const REQUANT: &str = "ShelfwatchRequant";

/// `y = scale · round_half_even(clamp(x · factor, low, high))`; without bounds `y = x · factor`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Requant {
    /// One factor, or one per channel.
    pub(super) factors: Arc<[f32]>,
    /// Axes that follow the channel axis.
    pub(super) inner_axes: usize,
    /// Least and greatest integer, zero point subtracted, and the factor after rounding.
    pub(super) rounding: Option<[f32; 3]>,
}

impl Eq for Requant {}

impl Requant {
    pub(super) fn node(&self, from: &str, to: &str) -> NodeProto {
        let mut made = node::make(REQUANT, &[from], to);
        made.attribute = vec![
            node::floats_attribute("factors", &self.factors),
            node::int_attribute("inner_axes", self.inner_axes as i64),
        ];
        if let Some(rounding) = self.rounding {
            made.attribute.push(node::floats_attribute("rounding", &rounding));
        }
        made
    }

    fn apply(&self, shape: &[usize], values: &mut [f32]) -> TractResult<()> {
        if let [factor] = self.factors[..] {
            self.channel(factor, values);
            return Ok(());
        }
        let channels = shape.len().checked_sub(1 + self.inner_axes).and_then(|axis| shape.get(axis));
        if channels != Some(&self.factors.len()) {
            return Err(TractError::msg(format!("{} factors for shape {shape:?}", self.factors.len())));
        }
        let inner: usize = shape[shape.len() - self.inner_axes..].iter().product();
        if inner > 0 {
            for (channel, &factor) in values.chunks_exact_mut(inner).zip(self.factors.iter().cycle()) {
                self.channel(factor, channel);
            }
        }
        Ok(())
    }

    fn channel(&self, factor: f32, values: &mut [f32]) {
        match self.rounding {
            Some([low, high, scale]) => {
                for v in values {
                    *v = round(*v * factor, low, high) * scale;
                }
            }
            None => values.iter_mut().for_each(|v| *v *= factor),
        }
    }
}

impl Op for Requant {
    fn name(&self) -> StaticName {
        REQUANT.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Requant {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut tensor = inputs.remove(0).into_tensor();
        let shape: TVec<usize> = tensor.shape().into();
        self.apply(&shape, tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?)?;
        Ok(tvec![tensor.into_tvalue()])
    }
}

impl TypedOp for Requant {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(inputs[0].shape.iter())])
    }

    as_op!();
}

impl Expansion for Requant {
    fn name(&self) -> StaticName {
        REQUANT.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        solver.equals(&inputs[0].datum_type, f32::datum_type())?;
        solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

/// Builds the operator from its node, for the engine's register.
pub(super) fn build(_: &ParsingContext, from: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let rounding = match node::floats(from, "rounding") {
        Some(&[low, high, scale]) if low <= high => Some([low, high, scale]),
        _ => None,
    };
    let factors: Arc<[f32]> = node::floats(from, "factors").unwrap_or(&[1.0]).into();
    let inner_axes = usize::try_from(node::int(from, "inner_axes", 0))?;
    Ok((expand(Requant { factors, inner_axes, rounding }), vec![]))
}
