//! The inference engine behind one door: shapes, constants, and the optimised plan.
//! The engine asserts here and there on malformed graphs, so each entry catches a panic and makes it
//! an error: a file from outside must not end the program.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParseResult;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{InferenceModelExt, IntoRunnable, TractResult, TypedModel, TypedRunnableModel, tvec};
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::error::BackboneError;
use super::fake_quant::{self, FAKE_QUANT};
use super::node;
use super::program::{self, PROGRAM};
use super::requant::{self, REQUANT};
use super::tensor::Constant;

/// Most values one tensor of the network may hold.
const MAX_VALUES: u128 = 1 << 30;

/// What is known of a tensor before anything ran.
#[derive(Clone, Debug, Default)]
pub(super) struct Fact {
    /// Extents, where the rank is known; `None` where one is open.
    pub(super) shape: Option<Vec<Option<usize>>>,
    pub(super) dtype: String,
}

impl Fact {
    /// The shape, where every extent is known.
    pub(super) fn full(&self) -> Option<Vec<usize>> {
        self.shape.as_ref()?.iter().copied().collect()
    }
}

fn framework() -> Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
    onnx.op_register.insert(FAKE_QUANT, fake_quant::build);
    onnx.op_register.insert(REQUANT, requant::build);
    onnx.op_register.insert(PROGRAM, program::build);
    onnx
}

fn guarded<T>(doing: &'static str, work: impl FnOnce() -> TractResult<T>) -> Result<T, BackboneError> {
    let why = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()))
            .unwrap_or_else(|| "it gave up".to_owned()),
    };
    let mut why = why.replace('\n', " ");
    if let Some((cut, _)) = why.char_indices().nth(400) {
        why.truncate(cut);
    }
    Err(BackboneError::Engine { doing, why })
}

/// Names the operators that the engine does not know.
pub(super) fn check_operators(model: &ModelProto) -> Result<(), BackboneError> {
    let known = framework().op_register;
    let unknown = model.graph.iter().flat_map(|g| &g.node).find(|n| !known.0.contains_key(&n.op_type));
    unknown.map_or(Ok(()), |n| Err(BackboneError::UnknownOp { op: node::operator(n), node: node::label(n) }))
}

/// Shape and type of every tensor, as far as they can be inferred.
pub(super) fn facts(model: &ModelProto) -> Result<HashMap<String, Fact>, BackboneError> {
    guarded("read", || {
        let ParseResult { mut model, outlets_by_name, .. } = framework().parse(model, None)?;
        // What stays unknown is decided by those who ask.
        let _ = model.analyse(true);
        outlets_by_name
            .into_iter()
            .map(|(name, outlet)| {
                let fact = model.outlet_fact(outlet)?;
                let shape = fact.shape.rank().concretize().map(|_| {
                    fact.shape
                        .dims()
                        .map(|d| d.concretize().and_then(|d| usize::try_from(d.to_i64().ok()?).ok()))
                        .collect()
                });
                let dtype = fact.datum_type.concretize().map_or_else(String::new, |d| format!("{d:?}").to_lowercase());
                Ok((name, Fact { shape, dtype }))
            })
            .collect()
    })
}

/// The value of a constant that nodes compute from initializers alone.
pub(super) fn evaluate(model: &ModelProto) -> Result<Constant, BackboneError> {
    guarded("read", || {
        let parsed = framework().parse(model, None)?.model;
        let output = parsed.into_typed()?.into_runnable()?.run(tvec![])?.remove(0);
        let output = output.cast_to::<f32>()?;
        let values = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        Ok(Constant { dims: output.shape().to_vec(), values })
    })
}

/// The optimised plan and the shape of each of its outputs.
pub(super) fn plan(model: &ModelProto) -> Result<(Arc<TypedRunnableModel>, Vec<Vec<usize>>), BackboneError> {
    let typed = guarded("read", || framework().parse(model, None)?.model.into_typed())?;
    check_sizes(&typed)?;
    guarded("optimise", || {
        let plan = typed.into_optimized()?.into_runnable()?;
        let shapes = (0..plan.model().outputs.len())
            .map(|at| plan.model().output_fact(at)?.shape.iter().map(|d| Ok(d.to_usize()?)).collect())
            .collect::<TractResult<Vec<Vec<usize>>>>()?;
        Ok((plan, shapes))
    })
}

/// Refuses tensors beyond [`MAX_VALUES`] before any memory is asked for.
fn check_sizes(model: &TypedModel) -> Result<(), BackboneError> {
    for made in model.nodes() {
        for output in &made.outputs {
            let elements = output
                .fact
                .shape
                .iter()
                .try_fold(1_u128, |product, d| product.checked_mul(u128::try_from(d.to_i64().ok()?).ok()?));
            if let Some(elements @ MAX_VALUES..) = elements {
                return Err(BackboneError::TooLarge { name: made.name.clone(), elements });
            }
        }
    }
    Ok(())
}

/// Runs `work` on the plan, with a panic made an error.
pub(super) fn run<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, BackboneError> {
    guarded("run", work)
}
