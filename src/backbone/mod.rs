//! A trained image classifier run for its penultimate feature, its logits and its feature map.
//! Refuses files that are no ONNX network of one image input, and frames of another size or type.

mod candidates;
mod engine;
mod error;
mod fake_quant;
mod head;
mod input_spec;
mod network;
mod node;
#[cfg(feature = "office")]
pub mod quantise;
mod quantised;
mod requant;
mod taps;
mod tensor;
mod wiring;

use std::sync::Arc;

use tract_onnx::prelude::{TValue, TVec, Tensor, TypedRunnableModel, TypedSimpleState, tvec};

pub use candidates::{Candidate, Candidates, Role, inspect};
pub use error::BackboneError;
pub use head::Head;
pub use input_spec::{InputSpec, Layout, PixelType};
pub use network::{TapChoice, Taps};

use crate::preprocess::Pixels;
use network::Network;

/// What a fork shares with the original.
struct Shared {
    plan: Arc<TypedRunnableModel>,
    spec: InputSpec,
    shape: [usize; 4],
    taps: Taps,
    head: Option<Head>,
    dim: usize,
    classes: usize,
    map_shape: Option<[usize; 3]>,
}

/// One network, optimised, with the state of one thread.
pub struct Backbone {
    shared: Arc<Shared>,
    state: TypedSimpleState,
    input: Arc<Tensor>,
    /// Tensors of the last frame; [`Activations`] borrows them.
    outputs: TVec<TValue>,
}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backbone")
            .field("input", &self.shared.spec)
            .field("taps", &self.shared.taps)
            .finish_non_exhaustive()
    }
}

/// What one frame gave; valid until the next frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activations<'a> {
    /// Penultimate feature, length D, dequantised.
    pub feature: &'a [f32],
    /// Pre-softmax class scores, length C, bias included, dequantised; empty where there are none.
    pub logits: &'a [f32],
    /// Feature map before pooling, D×H×W channel-major, dequantised.
    pub map: Option<&'a [f32]>,
}

impl Backbone {
    /// Reads an ONNX file, finds the taps and optimises the network for one image.
    ///
    /// `input_shape` is the shape of one image as it will arrive (N=1, in the order of the file's own
    /// input). It fixes extents that the file leaves open and is compared with those that it fixes;
    /// `None` takes the file's own.
    ///
    /// # Errors
    /// Every way in which the file can be no such network; each names the object and the remedy.
    pub fn load(onnx: &[u8], choice: &TapChoice, input_shape: Option<[usize; 4]>) -> Result<Backbone, BackboneError> {
        let network = Network::read(onnx, |_| input_shape)?;
        let plan = network.plan(choice)?;
        let (runnable, shapes) = engine::plan(&network.tapped(&plan)?)?;
        let mut shapes = shapes.into_iter();
        let mut next = |role: &'static str, name: &str| {
            shapes.next().filter(|s| s.first() == Some(&1) && s.iter().all(|&d| d > 0)).ok_or_else(|| {
                BackboneError::Role {
                    role,
                    name: name.to_owned(),
                    what: "it is not one vector per image (a batch that cannot be made 1)".to_owned(),
                }
            })
        };
        let taps = plan.taps;
        let dim = next("feature", &taps.feature)?.iter().product();
        let classes = taps.logits.as_ref().map_or(Ok(0), |l| next("logits", l).map(|s| s.iter().product()))?;
        let map_shape = match &taps.map {
            Some(name) => {
                let shape = next("map", name)?;
                let [1, d, h, w] = shape[..] else {
                    return Err(BackboneError::Role {
                        role: "map",
                        name: name.clone(),
                        what: format!("its shape is {shape:?}"),
                    });
                };
                Some([d, h, w])
            }
            None => None,
        };
        let head = plan.head.filter(|h| h.dim == dim && h.classes == classes);
        let shared = Arc::new(Shared {
            plan: runnable,
            spec: network.spec,
            shape: network.shape,
            taps,
            head,
            dim,
            classes,
            map_shape,
        });
        Backbone::start(shared)
    }

    fn start(shared: Arc<Shared>) -> Result<Backbone, BackboneError> {
        let state = engine::run(|| shared.plan.spawn())?;
        let dtype = match shared.spec.dtype {
            PixelType::F32 => Tensor::zero::<f32>(&shared.shape),
            PixelType::U8 => Tensor::zero::<u8>(&shared.shape),
        };
        let input = engine::run(|| dtype)?.into();
        Ok(Backbone { shared, state, input, outputs: tvec![] })
    }

    /// A second backbone on the same optimised network, for another thread.
    ///
    /// # Errors
    /// Where the engine cannot start another state.
    pub fn fork(&self) -> Result<Backbone, BackboneError> {
        Backbone::start(Arc::clone(&self.shared))
    }

    /// Runs one image, given in the order and element type of [`Backbone::input`].
    ///
    /// # Errors
    /// For pixels of another type or number, and where the feature or the logits are not finite.
    pub fn run(&mut self, input: &Pixels) -> Result<Activations<'_>, BackboneError> {
        self.fill(input)?;
        // The last frame's tensors go first, so that their memory serves this one.
        self.outputs.clear();
        let given = tvec![TValue::from_const(Arc::clone(&self.input))];
        let state = &mut self.state;
        match engine::run(|| state.run(given)) {
            Ok(outputs) => self.outputs = outputs,
            Err(error) => {
                // A failed run leaves half a frame in the state.
                self.state = engine::run(|| self.shared.plan.spawn())?;
                return Err(error);
            }
        }
        let shared = &self.shared;
        let values = |at: usize| -> Result<&[f32], BackboneError> {
            let output = &self.outputs[at];
            engine::run(|| output.try_as_plain_ram()?.as_slice::<f32>())
        };
        let feature = values(0)?;
        let logits = if shared.taps.logits.is_some() { values(1)? } else { &[] };
        let map = match shared.taps.map {
            Some(_) => Some(values(1 + usize::from(shared.taps.logits.is_some()))?),
            None => None,
        };
        for (role, name, values) in
            [("feature", Some(&shared.taps.feature), feature), ("logits", shared.taps.logits.as_ref(), logits)]
        {
            if let Some(name) = name.filter(|_| values.iter().any(|v| !v.is_finite())) {
                return Err(BackboneError::NotFinite { role, name: name.clone() });
            }
        }
        Ok(Activations { feature, logits, map })
    }

    /// Copies the pixels into the input tensor, which is reused while no state holds it.
    fn fill(&mut self, pixels: &Pixels) -> Result<(), BackboneError> {
        let Shared { spec, shape, .. } = &*self.shared;
        let expected: usize = shape.iter().product();
        let (found, kind) = match pixels {
            Pixels::F32(values) => (values.len(), PixelType::F32),
            Pixels::U8(values) => (values.len(), PixelType::U8),
        };
        if kind != spec.dtype {
            return Err(BackboneError::PixelType {
                name: spec.name.clone(),
                expected: spec.dtype.name(),
                found: kind.name(),
            });
        }
        if found != expected {
            return Err(BackboneError::PixelCount { name: spec.name.clone(), expected, found });
        }
        let input = &mut self.input;
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

    /// The tensors that are read.
    pub fn taps(&self) -> &Taps {
        &self.shared.taps
    }

    /// The classifier's weights and bias, where they are an affine map of the feature.
    pub fn head(&self) -> Option<&Head> {
        self.shared.head.as_ref()
    }

    /// D, the feature's length.
    pub fn dim(&self) -> usize {
        self.shared.dim
    }

    /// C, the number of logits; 0 where there are none.
    pub fn classes(&self) -> usize {
        self.shared.classes
    }

    /// D, H, W of the feature map, where there is one.
    pub fn map_shape(&self) -> Option<[usize; 3]> {
        self.shared.map_shape
    }

    /// The input as the file declares it.
    pub fn input(&self) -> &InputSpec {
        &self.shared.spec
    }

    /// The shape of one image: four extents, the first of them 1.
    pub fn input_shape(&self) -> [usize; 4] {
        self.shared.shape
    }
}
