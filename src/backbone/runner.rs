//! Runs a network that was made ready: as one program of its own, or on the inference engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use shelfwatch_network::{Cpu, Input, Machine, Prepared};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{TValue, TVec, Tensor, TypedRunnableModel, TypedSimpleState, tvec};
use tract_onnx::tract_core::plan::eval;

use super::engine;
use super::error::BackboneError;
use super::input_spec::PixelType;
use super::lowering::{self, Source};
use super::program;
use crate::preprocess::Pixels;

/// A network made ready; what the runners of several threads share.
#[derive(Clone)]
pub(super) enum Plan {
    /// The whole network is one program.
    Program(Arc<Prepared>),
    /// The engine runs it, with programs in the place of what they know.
    Engine(Arc<TypedRunnableModel>),
}

/// Makes a network ready whose outputs are those that are read; also gives the extents of each output.
pub(super) fn plan(mut model: ModelProto, source: &Source<'_>) -> Result<(Plan, Vec<Vec<usize>>), BackboneError> {
    let lowered = lowering::lower(source);
    if let Some(part) = lowered.whole() {
        let dims = part.outputs.iter().map(|(_, dims)| dims.clone()).collect();
        let program = part.program.clone();
        let prepared = Prepared::new(program, Cpu::detect())
            .map_err(|e| BackboneError::Engine { doing: "optimise", why: e.to_string() })?;
        return Ok((Plan::Program(Arc::new(prepared)), dims));
    }
    let graph = model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
    graph.node.clear();
    let mut parts = lowered.parts.iter();
    for left in lowered.left {
        graph.node.extend(left);
        if let Some(part) = parts.next().filter(|p| !p.outputs.is_empty()) {
            graph.node.push(program::node(part)?);
        }
    }
    let (plan, dims) = engine::plan(&model)?;
    Ok((Plan::Engine(plan), dims))
}

/// A network with the memory of one thread.
pub(super) enum Runner {
    Program { machine: Box<Machine>, reals: Vec<f32> },
    Engine(Box<Engine>),
}

/// Time that a node takes for one image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeTime {
    /// Its name in the file, or that of the node after it with which it was joined.
    pub name: String,
    /// What it computes.
    pub operator: String,
    /// Our own kernels run it; else tract does.
    pub own: bool,
    /// Multiplications of weights, where they are known.
    pub products: u64,
    /// Mean time for one image.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub time: Duration,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

/// The inference engine with its input and the results of the last image.
pub(super) struct Engine {
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
    input: Arc<Tensor>,
    shape: [usize; 4],
    /// Tensors of the last image, which the caller reads.
    outputs: TVec<TValue>,
}

impl Runner {
    pub(super) fn new(plan: &Plan, kind: PixelType, shape: [usize; 4]) -> Result<Runner, BackboneError> {
        match plan {
            Plan::Program(prepared) => {
                let reals = if kind == PixelType::U8 { vec![0.0; shape.iter().product()] } else { vec![] };
                let machine = Box::new(Machine::new(Arc::clone(prepared)));
                Ok(Runner::Program { machine, reals })
            }
            Plan::Engine(plan) => {
                let plan = Arc::clone(plan);
                let state = engine::run(|| plan.spawn())?;
                let zeros = match kind {
                    PixelType::F32 => Tensor::zero::<f32>(&shape),
                    PixelType::U8 => Tensor::zero::<u8>(&shape),
                };
                let input = engine::run(|| zeros)?.into();
                Ok(Runner::Engine(Box::new(Engine { plan, state, input, shape, outputs: tvec![] })))
            }
        }
    }

    /// Runs one image of the right type and number of pixels.
    pub(super) fn run(&mut self, pixels: &Pixels) -> Result<(), BackboneError> {
        match self {
            Runner::Program { machine, reals, .. } => {
                let input = match pixels {
                    Pixels::F32(values) => values,
                    Pixels::U8(values) => {
                        reals.iter_mut().zip(values).for_each(|(real, &value)| *real = f32::from(value));
                        reals
                    }
                };
                machine
                    .run(&[Input::Reals(input)])
                    .map_err(|e| BackboneError::Engine { doing: "run", why: e.to_string() })
            }
            Runner::Engine(engine) => engine.run(pixels),
        }
    }

    /// Runs one image `runs` times and measures each node.
    pub(super) fn profile(&mut self, pixels: &Pixels, runs: u32) -> Result<Vec<NodeTime>, BackboneError> {
        let mut nodes: Vec<NodeTime> = vec![];
        if let Runner::Program { machine, .. } = self {
            machine.measure();
        }
        for _ in 0..runs {
            match self {
                Runner::Program { .. } => self.run(pixels)?,
                Runner::Engine(engine) => engine.profile(pixels, &mut nodes)?,
            }
        }
        if let Runner::Program { machine, .. } = self {
            nodes.extend(machine.steps().map(|step| NodeTime {
                name: step.name.to_owned(),
                operator: step.kind.to_owned(),
                own: true,
                products: step.products,
                time: step.time,
            }));
        }
        nodes.iter_mut().for_each(|node| node.time /= runs.max(1));
        Ok(nodes)
    }

    /// Output `index` of the last image.
    pub(super) fn output(&self, index: usize) -> Result<&[f32], BackboneError> {
        match self {
            Runner::Program { machine, .. } => Ok(machine.output(index)),
            Runner::Engine(held) => {
                let output = &held.outputs[index];
                engine::run(|| output.try_as_plain_ram()?.as_slice::<f32>())
            }
        }
    }
}

impl Engine {
    fn run(&mut self, pixels: &Pixels) -> Result<(), BackboneError> {
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

    /// Runs one image and adds the time of each node, in the order in which they run.
    fn profile(&mut self, pixels: &Pixels, nodes: &mut Vec<NodeTime>) -> Result<(), BackboneError> {
        self.fill(pixels)?;
        self.outputs.clear();
        let given = tvec![TValue::from_const(Arc::clone(&self.input))];
        let state = &mut self.state;
        let mut at = 0;
        engine::run(|| {
            state.run_plan_with_eval(given, |context, own, node, inputs| {
                let start = Instant::now();
                let result = eval(context, own, node, inputs);
                let (operator, time) = (node.op.name(), start.elapsed());
                if let Some(before) = nodes.get_mut(at) {
                    before.time += time;
                } else {
                    let own = operator == program::PROGRAM;
                    let (name, operator) = (node.name.clone(), operator.into_owned());
                    nodes.push(NodeTime { name, operator, own, products: 0, time });
                }
                at += 1;
                result
            })?;
            Ok(())
        })
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
