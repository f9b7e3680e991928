//! Runs a network on the inference engine, with programs in the place of what they know.

use std::sync::Arc;
use std::time::Instant;

use tract_onnx::prelude::{TValue, TVec, Tensor, TypedRunnableModel, TypedSimpleState, tvec};
use tract_onnx::tract_core::plan::eval;

use super::engine;
use super::error::BackboneError;
use super::input_spec::PixelType;
use super::program;
use super::runner::NodeTime;
use crate::preprocess::Pixels;

/// The inference engine with its input and the results of the last image.
pub(super) struct Engine {
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
    input: Arc<Tensor>,
    shape: [usize; 4],
    /// Tensors of the last image, which the caller reads.
    outputs: TVec<TValue>,
}

impl Engine {
    pub(super) fn new(
        plan: &Arc<TypedRunnableModel>,
        kind: PixelType,
        shape: [usize; 4],
    ) -> Result<Engine, BackboneError> {
        let plan = Arc::clone(plan);
        let state = engine::run(|| plan.spawn())?;
        let zeros = match kind {
            PixelType::F32 => Tensor::zero::<f32>(&shape),
            PixelType::U8 => Tensor::zero::<u8>(&shape),
        };
        let input = engine::run(|| zeros)?.into();
        Ok(Engine { plan, state, input, shape, outputs: tvec![] })
    }

    /// Output `index` of the last image, where there is one.
    pub(super) fn output(&self, index: usize) -> Result<Option<&[f32]>, BackboneError> {
        let output = self.outputs.get(index);
        output.map(|output| engine::run(|| output.try_as_plain_ram()?.as_slice::<f32>())).transpose()
    }

    /// The first so many outputs, each as [`Engine::output`] has it.
    pub(super) fn outputs<const N: usize>(&self) -> Result<[Option<&[f32]>; N], BackboneError> {
        let mut found = [None; N];
        for (index, found) in found.iter_mut().enumerate() {
            *found = self.output(index)?;
        }
        Ok(found)
    }

    pub(super) fn run(&mut self, pixels: &Pixels) -> Result<(), BackboneError> {
        self.fill(pixels)?;
        // The last image's tensors go first, so that their memory serves this one.
        self.outputs.clear();
        let given = tvec![TValue::from_const(Arc::clone(&self.input))];
        let state = &mut self.state;
        match engine::run(|| state.run(given)) {
            Ok(outputs) => {
                self.outputs = outputs;
                Ok(())
            }
            Err(error) => {
                // A failed run leaves half an image in the state.
                self.state = engine::run(|| self.plan.spawn())?;
                Err(error)
            }
        }
    }

    /// Runs one image and measures each node, in the order in which they run.
    pub(super) fn profile(&mut self, pixels: &Pixels) -> Result<Vec<NodeTime>, BackboneError> {
        self.fill(pixels)?;
        self.outputs.clear();
        let given = tvec![TValue::from_const(Arc::clone(&self.input))];
        let state = &mut self.state;
        let mut nodes = vec![];
        engine::run(|| {
            state.run_plan_with_eval(given, |context, own, node, inputs| {
                let start = Instant::now();
                let result = eval(context, own, node, inputs);
                let (operator, time) = (node.op.name(), start.elapsed());
                let own = operator == program::PROGRAM;
                let (name, operator) = (node.name.clone(), operator.into_owned());
                nodes.push(NodeTime { name, operator, own, products: 0, time });
                result
            })?;
            Ok(())
        })?;
        Ok(nodes)
    }

    /// Copies the pixels into the input tensor, which is reused while no state holds it.
    fn fill(&mut self, pixels: &Pixels) -> Result<(), BackboneError> {
        let Engine { input, shape, .. } = self;
        engine::run(|| {
            match (Arc::get_mut(input), pixels) {
                (Some(tensor), Pixels::F32(v)) => {
                    tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?.copy_from_slice(v);
                }
                (Some(tensor), Pixels::U8(v)) => {
                    tensor.try_as_plain_ram_mut()?.as_slice_mut::<u8>()?.copy_from_slice(v);
                }
                (None, Pixels::F32(v)) => *input = Arc::new(Tensor::from_shape(shape, v)?),
                (None, Pixels::U8(v)) => *input = Arc::new(Tensor::from_shape(shape, v)?),
            }
            Ok(())
        })
    }
}
