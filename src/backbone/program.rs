//! A program of the network as one operator of the inference engine, for networks of which it is only a part.

use std::sync::{Arc, Mutex, PoisonError};

use shelfwatch_network::{Cpu, Input, Machine, Prepared};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{Datum, DatumExt, SpecialOps, TVec, Tensor, TractError, TractResult, TypedFact, TypedModel};
use tract_onnx::tract_core::internal::{EvalContext, EvalOp, Op, OutletId, StaticName, TValue, TypedOp};
use tract_onnx::tract_core::{as_op, op_as_typed_op, op_out_of_plan};
use tract_onnx::tract_hir::infer::{InferenceOp, InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::internal::{Expansion, IntoTValue, ShapeFactoid, expand};

use super::error::BackboneError;
use super::lowering::Part;
use super::node;

/// Operator type under which the inference engine knows it.
pub(super) const PROGRAM: &str = "ShelfwatchProgram";

/// A prepared program with the machines that no thread uses at the moment.
#[derive(Clone, Debug)]
struct ProgramOp {
    prepared: Arc<Prepared>,
    /// Extents of each output.
    dims: Arc<[Vec<usize>]>,
    idle: Arc<Mutex<Vec<Machine>>>,
}

impl PartialEq for ProgramOp {
    fn eq(&self, other: &ProgramOp) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared)
    }
}

impl Eq for ProgramOp {}

/// The node that stands for a part of the network.
pub(super) fn node(part: &Part) -> Result<NodeProto, BackboneError> {
    let inputs: Vec<&str> = part.inputs.iter().map(String::as_str).collect();
    let mut made = node::make(PROGRAM, &inputs, "");
    made.name.clone_from(&part.outputs[0].0);
    made.output = part.outputs.iter().map(|(name, _)| name.clone()).collect();
    let program = postcard::to_allocvec(&part.program)
        .map_err(|e| BackboneError::Engine { doing: "optimise", why: e.to_string() })?;
    made.attribute.push(node::bytes_attribute("program", program));
    for (at, (_, dims)) in part.outputs.iter().enumerate() {
        let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        made.attribute.push(node::ints_attribute(&format!("dims{at}"), &dims));
    }
    Ok(made)
}

/// Builds the operator from its node, for the engine's register.
pub(super) fn build(_: &ParsingContext, from: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let bytes = node::attribute(from, "program").map_or(&[][..], |a| &a.s);
    let program = postcard::from_bytes(bytes).map_err(|e| TractError::msg(e.to_string()))?;
    let prepared = Prepared::new(program, Cpu::detect()).map_err(|e| TractError::msg(e.to_string()))?;
    let dims = (0..from.output.len())
        .map(|at| {
            let dims = node::ints(from, &format!("dims{at}")).unwrap_or(&[]);
            dims.iter().map(|&d| Ok(usize::try_from(d)?)).collect()
        })
        .collect::<TractResult<Vec<Vec<usize>>>>()?;
    let op = ProgramOp { prepared: Arc::new(prepared), dims: dims.into(), idle: Arc::default() };
    Ok((expand(op), vec![]))
}

impl Op for ProgramOp {
    fn name(&self) -> StaticName {
        PROGRAM.into()
    }

    op_as_typed_op!();
}

impl EvalOp for ProgramOp {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = idle().pop();
        let mut machine = machine.unwrap_or_else(|| Machine::new(Arc::clone(&self.prepared)));
        let given = inputs
            .iter()
            .map(|input| Ok(Input::Reals(input.try_as_plain_ram()?.as_slice::<f32>()?)))
            .collect::<TractResult<TVec<Input<'_>>>>()?;
        let results = machine.run(&given).map_err(|e| TractError::msg(e.to_string()))?;
        let outputs = self
            .dims
            .iter()
            .enumerate()
            .map(|(at, dims)| Ok(Tensor::from_shape(dims, results.output(at).unwrap_or_default())?.into_tvalue()))
            .collect();
        idle().push(machine);
        outputs
    }
}

impl TypedOp for ProgramOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.dims.iter().map(f32::fact).collect())
    }

    as_op!();
}

impl Expansion for ProgramOp {
    fn name(&self) -> StaticName {
        PROGRAM.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.dims.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for input in inputs {
            solver.equals(&input.datum_type, f32::datum_type())?;
        }
        for (output, dims) in outputs.iter().zip(self.dims.iter()) {
            solver.equals(&output.datum_type, f32::datum_type())?;
            solver.equals(&output.shape, ShapeFactoid::from(dims.clone()))?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}
