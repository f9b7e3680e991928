//! A network run for any of its tensors.

use std::collections::HashSet;
use std::sync::Arc;

use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{TValue, Tensor, TypedRunnableModel, TypedSimpleState, tvec};

use crate::backbone::engine;
use crate::backbone::error::BackboneError;
use crate::backbone::network::Network;
use crate::backbone::wiring;
use crate::preprocess::Pixels;

/// What a fork shares with the original.
struct Shared {
    plan: Arc<TypedRunnableModel>,
    shape: [usize; 4],
    /// For each tensor asked for, its place among the outputs; `None` for the image itself.
    places: Vec<Option<usize>>,
    names: Vec<String>,
}

/// A network with the state of one thread that shows some of its tensors.
pub struct Probe {
    shared: Arc<Shared>,
    state: TypedSimpleState,
}

impl Probe {
    /// Prepares the network of a file for one image, to show `tensors`.
    pub(super) fn new(model: &ModelProto, shape: [usize; 4], tensors: &[String]) -> Result<Probe, BackboneError> {
        let mut network = Network::read(&model.encode_to_vec(), |_| Some(shape))?;
        let graph = network.model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
        let input = &network.spec.name;
        let mut count = 0;
        let places = tensors
            .iter()
            .map(|name| {
                (name != input).then(|| {
                    count += 1;
                    count - 1
                })
            })
            .collect();
        let mut seen = HashSet::new();
        let outputs: Vec<&str> = tensors.iter().filter(|t| *t != input).map(String::as_str).collect();
        debug_assert!(outputs.iter().all(|name| seen.insert(*name)), "a tensor is asked for once");
        wiring::prune(graph, &outputs);
        engine::check_operators(&network.model)?;
        let (plan, _) = engine::plan(&network.model)?;
        Probe::start(Arc::new(Shared { plan, shape: network.shape, places, names: tensors.to_vec() }))
    }

    fn start(shared: Arc<Shared>) -> Result<Probe, BackboneError> {
        let state = engine::run(|| shared.plan.spawn())?;
        Ok(Probe { shared, state })
    }

    /// A second one for another thread.
    ///
    /// # Errors
    /// Where the engine cannot start another state.
    pub fn fork(&self) -> Result<Probe, BackboneError> {
        Probe::start(Arc::clone(&self.shared))
    }

    /// Runs one image and hands on the values of each tensor, in the order asked for.
    ///
    /// # Errors
    /// For pixels of another number, a failure of the engine, and values that are not finite.
    pub fn run(&mut self, pixels: &Pixels, mut take: impl FnMut(usize, &[f32])) -> Result<(), BackboneError> {
        let shape = &self.shared.shape;
        let state = &mut self.state;
        let outputs = engine::run(|| {
            let input = match pixels {
                Pixels::F32(values) => Tensor::from_shape(shape, values)?,
                Pixels::U8(values) => Tensor::from_shape(shape, values)?,
            };
            state.run(tvec![TValue::from(input)])
        })?;
        for (at, place) in self.shared.places.iter().enumerate() {
            let mut finite = true;
            let mut hand = |values: &[f32]| {
                finite = values.iter().all(|v| v.is_finite());
                if finite {
                    take(at, values);
                }
            };
            match (place, pixels) {
                (Some(place), _) => {
                    let output = &outputs[*place];
                    hand(engine::run(|| output.try_as_plain_ram()?.as_slice::<f32>())?);
                }
                (None, Pixels::F32(values)) => hand(values),
                (None, Pixels::U8(_)) => {}
            }
            if !finite {
                return Err(BackboneError::NotFinite { role: "tensor", name: self.shared.names[at].clone() });
            }
        }
        Ok(())
    }
}
