//! Runs a network that was made ready: as one program, or on the inference engine.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use shelfwatch_network::{Input, Machine, Prepared, Results, StepFacts};
#[cfg(feature = "onnx")]
use tract_onnx::prelude::TypedRunnableModel;

#[cfg(feature = "onnx")]
use super::engine_runner::Engine;
use super::error::BackboneError;
use super::input_spec::PixelType;
use crate::preprocess::Pixels;

/// A network made ready; what the runners of several threads share.
#[derive(Clone)]
pub(super) enum Plan {
    /// The whole network is one program.
    Program(Arc<Prepared>),
    /// The engine runs it, with programs in the place of what they know.
    #[cfg(feature = "onnx")]
    Engine(Arc<TypedRunnableModel>),
}

/// A network with the memory of one thread.
pub(super) enum Runner {
    Program {
        machine: Box<Machine>,
        reals: Vec<f32>,
    },
    #[cfg(feature = "onnx")]
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
    /// Least time for one image.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub time: Duration,
}

impl NodeTime {
    fn of(step: StepFacts<'_>) -> NodeTime {
        let (name, operator) = (step.name.to_owned(), step.kind.to_owned());
        NodeTime { name, operator, own: true, products: step.products, time: step.time }
    }
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

impl Runner {
    #[cfg_attr(not(feature = "onnx"), expect(clippy::unnecessary_wraps, reason = "the inference engine can fail"))]
    pub(super) fn new(plan: &Plan, kind: PixelType, shape: [usize; 4]) -> Result<Runner, BackboneError> {
        match plan {
            Plan::Program(prepared) => {
                let reals = if kind == PixelType::U8 { vec![0.0; shape.iter().product()] } else { vec![] };
                let machine = Box::new(Machine::new(Arc::clone(prepared)));
                Ok(Runner::Program { machine, reals })
            }
            #[cfg(feature = "onnx")]
            Plan::Engine(plan) => Ok(Runner::Engine(Box::new(Engine::new(plan, kind, shape)?))),
        }
    }

    /// Computes large steps of a program with so many threads from now on.
    pub(super) fn set_threads(&mut self, plan: &Plan, count: usize) -> Result<(), BackboneError> {
        match (self, plan) {
            // Its memory and its threads are made anew only where their number changes.
            (Runner::Program { machine, .. }, _) if machine.threads() == count.max(1) => {}
            (Runner::Program { machine, .. }, Plan::Program(prepared)) => {
                let more = Machine::with_threads(Arc::clone(prepared), count);
                **machine = more.map_err(|e| BackboneError::Program(e.to_string()))?;
            }
            #[cfg(feature = "onnx")]
            _ => {}
        }
        Ok(())
    }

    /// Runs one image of the right type and number of pixels for its first `count` outputs; the engine makes all.
    pub(super) fn run(&mut self, pixels: &Pixels, count: usize) -> Result<Outputs<'_>, BackboneError> {
        match self {
            Runner::Program { machine, reals, .. } => {
                let input = match pixels {
                    Pixels::F32(values) => values,
                    Pixels::U8(values) => {
                        reals.iter_mut().zip(values).for_each(|(real, &value)| *real = f32::from(value));
                        reals
                    }
                };
                let results = machine.run_first(count, &[Input::Reals(input)]);
                results.map(Outputs::Program).map_err(|e| BackboneError::Program(e.to_string()))
            }
            #[cfg(feature = "onnx")]
            Runner::Engine(engine) => {
                engine.run(pixels)?;
                Ok(Outputs::Engine(engine))
            }
        }
    }

    /// Runs one image `runs` times and gives the least time of each node, which others that run here disturb least.
    pub(super) fn profile(&mut self, pixels: &Pixels, runs: u32) -> Result<Vec<NodeTime>, BackboneError> {
        let mut least: Vec<NodeTime> = vec![];
        for _ in 0..runs {
            let nodes = match self {
                Runner::Program { machine, .. } => {
                    machine.measure();
                    self.run(pixels, usize::MAX)?;
                    self.program_steps()
                }
                #[cfg(feature = "onnx")]
                Runner::Engine(engine) => engine.profile(pixels)?,
            };
            least.resize(nodes.len(), nodes[0].clone());
            for (least, node) in least.iter_mut().zip(nodes) {
                if least.name != node.name || node.time < least.time {
                    *least = node;
                }
            }
        }
        Ok(least)
    }

    /// The measured steps of a program.
    fn program_steps(&self) -> Vec<NodeTime> {
        match self {
            Runner::Program { machine, .. } => machine.steps().map(NodeTime::of).collect(),
            #[cfg(feature = "onnx")]
            Runner::Engine(_) => vec![],
        }
    }
}

/// What one image gave.
pub(super) enum Outputs<'r> {
    Program(Results<'r>),
    #[cfg(feature = "onnx")]
    Engine(&'r Engine),
}

impl<'r> Outputs<'r> {
    /// Computes the outputs that are left.
    pub(super) fn finish(&mut self) {
        match self {
            Outputs::Program(results) => results.finish(),
            #[cfg(feature = "onnx")]
            Outputs::Engine(_) => {}
        }
    }

    /// Output `index`; `None` where it is not computed, or there is none.
    #[cfg_attr(not(feature = "onnx"), expect(clippy::unnecessary_wraps, reason = "the inference engine can fail"))]
    pub(super) fn get(&self, index: usize) -> Result<Option<&[f32]>, BackboneError> {
        match self {
            Outputs::Program(results) => Ok(results.output(index)),
            #[cfg(feature = "onnx")]
            Outputs::Engine(engine) => engine.output(index),
        }
    }

    /// The first so many outputs, each as [`Outputs::get`] has it.
    #[cfg_attr(not(feature = "onnx"), expect(clippy::unnecessary_wraps, reason = "the inference engine can fail"))]
    pub(super) fn all<const N: usize>(self) -> Result<[Option<&'r [f32]>; N], BackboneError> {
        match self {
            Outputs::Program(results) => Ok(results.outputs()),
            #[cfg(feature = "onnx")]
            Outputs::Engine(engine) => engine.outputs(),
        }
    }
}
