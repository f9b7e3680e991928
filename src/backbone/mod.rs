//! A trained image classifier run for its penultimate feature, its logits and its feature map.
//! Refuses files that are no ONNX network of one image input, and frames of another size or type.

#[cfg(feature = "onnx")]
mod candidates;
#[cfg(feature = "onnx")]
mod declaration;
#[cfg(feature = "onnx")]
mod engine;
#[cfg(feature = "onnx")]
mod engine_runner;
mod error;
#[cfg(feature = "onnx")]
mod fake_quant;
mod head;
mod input_spec;
#[cfg(feature = "onnx")]
mod last_layer;
#[cfg(feature = "onnx")]
mod lowering;
mod names;
#[cfg(feature = "onnx")]
mod network;
#[cfg(feature = "onnx")]
mod node;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod program;
#[cfg(feature = "office")]
pub mod quantise;
#[cfg(feature = "onnx")]
mod quantised;
#[cfg(feature = "onnx")]
mod requant;
mod runner;
mod stored;
#[cfg(feature = "onnx")]
mod taps;
#[cfg(feature = "onnx")]
mod tensor;
#[cfg(feature = "onnx")]
mod wiring;

use std::sync::Arc;

#[cfg(feature = "onnx")]
pub use candidates::{Candidate, Candidates, Role, inspect};
pub use error::BackboneError;
pub use head::Head;
pub use input_spec::{InputSpec, Layout, PixelType};
pub use names::{TapChoice, Taps};
#[cfg(feature = "onnx")]
pub use onnx::program;
pub use runner::NodeTime;

use crate::preprocess::Pixels;
use runner::{Plan, Runner};
use stored::Facts;

/// What a fork shares with the original.
struct Shared {
    plan: Plan,
    facts: Facts,
    head: Option<Head>,
}

/// One network, optimised, with the state of one thread.
pub struct Backbone {
    shared: Arc<Shared>,
    /// Also holds the results of the last frame, which [`Activations`] borrows.
    runner: Runner,
}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backbone")
            .field("input", &self.shared.facts.spec)
            .field("taps", &self.shared.facts.taps)
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
    /// Feature map before pooling, D×H×W channel-major, dequantised, where there is one and it was asked for.
    pub map: Option<&'a [f32]>,
}

impl Backbone {
    fn ready(plan: Plan, facts: Facts, head: Option<Head>) -> Result<Backbone, BackboneError> {
        Backbone::start(Arc::new(Shared { plan, facts, head }))
    }

    fn start(shared: Arc<Shared>) -> Result<Backbone, BackboneError> {
        let runner = Runner::new(&shared.plan, shared.facts.spec.dtype, shared.facts.shape)?;
        Ok(Backbone { shared, runner })
    }

    /// A second backbone on the same optimised network, for another thread.
    ///
    /// # Errors
    /// Where the engine cannot start another state.
    pub fn fork(&self) -> Result<Backbone, BackboneError> {
        Backbone::start(Arc::clone(&self.shared))
    }

    /// Computes large steps with so many threads from now on, where the whole network runs without tract. The numbers stay
    /// the same to the bit. One is the default; judging several images side by side gains more than this does.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub fn set_threads(&mut self, count: usize) -> Result<(), BackboneError> {
        self.runner.set_threads(&self.shared.plan, count)
    }

    /// Runs one image, given in the order and element type of [`Backbone::input`].
    ///
    /// # Errors
    /// For pixels of another type or number, and where they, the feature or the logits are not finite.
    pub fn run(&mut self, input: &Pixels) -> Result<Activations<'_>, BackboneError> {
        self.activations(input, true)
    }

    /// As [`Backbone::run`], but leaves the map out, and what only the map needs uncomputed.
    ///
    /// # Errors
    /// As [`Backbone::run`].
    pub fn run_without_map(&mut self, input: &Pixels) -> Result<Activations<'_>, BackboneError> {
        self.activations(input, false)
    }

    fn activations(&mut self, input: &Pixels, with_map: bool) -> Result<Activations<'_>, BackboneError> {
        self.check(input)?;
        let taps = &self.shared.facts.taps;
        let vectors = [("feature", Some(&taps.feature)), ("logits", taps.logits.as_ref())];
        let mut outputs = self.runner.run(input, vectors.iter().flat_map(|(_, name)| name).count())?;
        for (index, (role, name)) in vectors.into_iter().enumerate() {
            let Some(name) = name else { continue };
            let values = outputs.get(index)?.unwrap_or_default();
            if values.iter().any(|v| !v.is_finite()) {
                return Err(BackboneError::NotFinite { role, name: name.clone() });
            }
        }
        let with_map = with_map && taps.map.is_some();
        if with_map {
            outputs.finish();
        }
        let [feature, second, third] = outputs.all()?;
        let (logits, map) = if taps.logits.is_some() { (second, third) } else { (None, second) };
        let (feature, logits) = (feature.unwrap_or_default(), logits.unwrap_or_default());
        Ok(Activations { feature, logits, map: map.filter(|_| with_map) })
    }

    /// Refuses pixels of another type or number than the input's, and such as are no numbers.
    fn check(&self, pixels: &Pixels) -> Result<(), BackboneError> {
        let Facts { spec, shape, .. } = &self.shared.facts;
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
        // Bytes would keep no trace of what is no number. Without a branch, so that it takes next to no time.
        let unusable = match pixels {
            Pixels::F32(values) => values.iter().fold(false, |any, value| any | !value.is_finite()),
            Pixels::U8(_) => false,
        };
        if unusable {
            return Err(BackboneError::NotFinite { role: "input", name: spec.name.clone() });
        }
        Ok(())
    }

    /// Runs one grey image `runs` times and tells where the time goes: each node, in the order in which they run.
    ///
    /// # Errors
    /// As [`Backbone::run`].
    pub fn profile(&mut self, runs: u32) -> Result<Vec<NodeTime>, BackboneError> {
        let count = self.shared.facts.shape.iter().product();
        let grey = match self.shared.facts.spec.dtype {
            PixelType::F32 => Pixels::F32(vec![0.5; count]),
            PixelType::U8 => Pixels::U8(vec![128; count]),
        };
        self.runner.run(&grey, usize::MAX)?;
        self.runner.profile(&grey, runs)
    }

    /// The tensors that are read.
    pub fn taps(&self) -> &Taps {
        &self.shared.facts.taps
    }

    /// The classifier's weights and bias, where they are an affine map of the feature and the network was read from
    /// its own file.
    pub fn head(&self) -> Option<&Head> {
        self.shared.head.as_ref()
    }

    /// D, the feature's length.
    pub fn dim(&self) -> usize {
        self.shared.facts.dim
    }

    /// C, the number of logits; 0 where there are none.
    pub fn classes(&self) -> usize {
        self.shared.facts.classes
    }

    /// D, H, W of the feature map, where there is one.
    pub fn map_shape(&self) -> Option<[usize; 3]> {
        self.shared.facts.map_shape
    }

    /// The input as the file declares it.
    pub fn input(&self) -> &InputSpec {
        &self.shared.facts.spec
    }

    /// The shape of one image: four extents, the first of them 1.
    pub fn input_shape(&self) -> [usize; 4] {
        self.shared.facts.shape
    }
}
