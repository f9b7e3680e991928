//! A network that needs no ONNX any more: what is known of it, and its program, as bytes for a shelf.
//! Refuses bytes of another version, a program that contradicts itself, and facts that are not those of the program.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shelfwatch_network::{Cpu, Prepared, Program};

use super::Backbone;
use super::error::BackboneError;
use super::input_spec::InputSpec;
use super::names::Taps;
use super::runner::Plan;

/// Version of the bytes; another one is written whenever a step of a program changes its meaning or its form.
const VERSION: u16 = 1;

/// What is known of a network besides its program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) spec: InputSpec,
    /// The shape of one image.
    pub(super) shape: [usize; 4],
    pub(super) taps: Taps,
    pub(super) dim: usize,
    pub(super) classes: usize,
    pub(super) map_shape: Option<[usize; 3]>,
}

impl Facts {
    /// Values of each tensor that is read.
    fn outputs(&self) -> impl Iterator<Item = usize> {
        let logits = self.taps.logits.as_ref().map(|_| self.classes);
        let map = self.map_shape.map(|shape| shape.iter().product());
        [Some(self.dim), logits, map].into_iter().flatten()
    }
}

/// Packs a program's weights for this processor.
pub(super) fn prepare(program: Program) -> Result<Plan, BackboneError> {
    let prepared = Prepared::new(program, Cpu::detect());
    let prepared = prepared.map_err(|e| BackboneError::Program(e.to_string()))?;
    Ok(Plan::Program(Arc::new(prepared)))
}

/// The bytes of a network.
#[cfg(feature = "onnx")]
pub(super) fn write(facts: &Facts, program: &Program) -> Result<Vec<u8>, BackboneError> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    let broken = |e: postcard::Error| BackboneError::Program(e.to_string());
    bytes.extend(postcard::to_allocvec(&(facts, program)).map_err(broken)?);
    Ok(bytes)
}

impl Backbone {
    /// Whether bytes are of the version that this program reads.
    pub fn reads_program(bytes: &[u8]) -> bool {
        bytes.starts_with(&VERSION.to_le_bytes())
    }

    /// The network of a shelf's program section; it takes no inference engine.
    ///
    /// # Errors
    /// For bytes of another version, and where they are damaged or contradict themselves.
    pub fn from_program(bytes: &[u8]) -> Result<Backbone, BackboneError> {
        let broken = |what: &str| BackboneError::Program(what.to_owned());
        let rest = bytes.strip_prefix(&VERSION.to_le_bytes()).ok_or_else(|| broken("it is of another version"))?;
        let (facts, program): (Facts, Program) = postcard::from_bytes(rest).map_err(|e| broken(&e.to_string()))?;
        let volume = |at: &u32| program.tensors.get(*at as usize).map(shelfwatch_network::Tensor::volume);
        let pixels = facts.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        let inputs: Vec<Option<usize>> = program.inputs.iter().map(volume).collect();
        let outputs: Vec<Option<usize>> = program.outputs.iter().map(volume).collect();
        if pixels.is_none() || inputs != [pixels] || !outputs.iter().copied().eq(facts.outputs().map(Some)) {
            return Err(broken("its tensors are not those that it names"));
        }
        if facts.taps.map.is_some() != facts.map_shape.is_some() || facts.taps.logits.is_some() != (facts.classes > 0) {
            return Err(broken("it names other tensors than it has"));
        }
        Backbone::ready(prepare(program)?, facts, None)
    }
}
