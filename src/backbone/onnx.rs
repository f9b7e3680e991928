//! Backbones from ONNX files.

use std::sync::Arc;

use shelfwatch_network::Program;
use tract_onnx::prelude::TypedRunnableModel;

use super::error::BackboneError;
use super::head::Head;
use super::lowering::{self, Source};
use super::names::TapChoice;
use super::network::{Network, Plan as Reading};
use super::runner::Plan;
use super::stored::{self, Facts};
use super::{Backbone, engine, program as operator};

/// A network made ready.
enum Ready {
    /// The whole of it is one program.
    Whole(Program),
    /// The engine runs it, with programs in the place of what they know.
    Mixed(Arc<TypedRunnableModel>),
}

impl Backbone {
    /// Reads an ONNX file, finds the taps and makes the network ready for one image.
    ///
    /// `input_shape` is the shape of one image as it will arrive (N=1, in the order of the file's own
    /// input). It fixes extents that the file leaves open and is compared with those that it fixes;
    /// `None` takes the file's own.
    ///
    /// # Errors
    /// Every way in which the file can be no such network; each names the object and the remedy.
    pub fn load(onnx: &[u8], choice: &TapChoice, input_shape: Option<[usize; 4]>) -> Result<Backbone, BackboneError> {
        let (ready, facts, head) = read(onnx, choice, input_shape)?;
        let plan = match ready {
            Ready::Whole(program) => stored::prepare(program)?,
            Ready::Mixed(plan) => Plan::Engine(plan),
        };
        Backbone::ready(plan, facts, head)
    }
}

/// The network as [`Backbone::from_program`] takes it, without ONNX; `None` where a part of it needs the inference
/// engine. Arguments and errors are those of [`Backbone::load`].
///
/// # Errors
/// As [`Backbone::load`].
pub fn program(
    onnx: &[u8],
    choice: &TapChoice,
    input_shape: Option<[usize; 4]>,
) -> Result<Option<Vec<u8>>, BackboneError> {
    match read(onnx, choice, input_shape)? {
        (Ready::Whole(program), facts, _) => stored::write(&facts, &program).map(Some),
        (Ready::Mixed(_), ..) => Ok(None),
    }
}

fn read(
    onnx: &[u8],
    choice: &TapChoice,
    input_shape: Option<[usize; 4]>,
) -> Result<(Ready, Facts, Option<Head>), BackboneError> {
    let network = Network::read(onnx, |_| input_shape)?;
    let reading = network.plan(choice)?;
    let (ready, shapes) = ready(&network, &reading)?;
    let mut shapes = shapes.into_iter();
    let mut next = |role: &'static str, name: &str| {
        shapes.next().filter(|s| s.first() == Some(&1) && s.iter().all(|&d| d > 0)).ok_or_else(|| BackboneError::Role {
            role,
            name: name.to_owned(),
            what: "it is not one vector per image (a batch that cannot be made 1)".to_owned(),
        })
    };
    let taps = reading.taps;
    let dim = next("feature", &taps.feature)?.iter().product();
    let classes = taps.logits.as_ref().map_or(Ok(0), |l| next("logits", l).map(|s| s.iter().product()))?;
    let map_shape = match &taps.map {
        Some(name) => {
            let shape = next("map", name)?;
            let [1, d, h, w] = shape[..] else {
                let what = format!("its shape is {shape:?}");
                return Err(BackboneError::Role { role: "map", name: name.clone(), what });
            };
            Some([d, h, w])
        }
        None => None,
    };
    let head = reading.head.filter(|h| h.dim == dim && h.classes == classes);
    let facts = Facts { spec: network.spec, shape: network.shape, taps, dim, classes, map_shape };
    Ok((ready, facts, head))
}

/// Makes a network ready, and gives the extents of each tensor that is read.
fn ready(network: &Network, reading: &Reading) -> Result<(Ready, Vec<Vec<usize>>), BackboneError> {
    let mut model = network.tapped(reading)?;
    let graph = model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
    let (spec, facts, activations) = (&network.spec, &network.facts, &network.rewritten.activations);
    let lowered = lowering::lower(&Source { graph, spec, facts, activations });
    if let Some(part) = lowered.whole() {
        let dims = part.outputs.iter().map(|(_, dims)| dims.clone()).collect();
        return Ok((Ready::Whole(part.program.clone()), dims));
    }
    graph.node.clear();
    let mut parts = lowered.parts.iter();
    for left in lowered.left {
        graph.node.extend(left);
        if let Some(part) = parts.next().filter(|p| !p.outputs.is_empty()) {
            graph.node.push(operator::node(part)?);
        }
    }
    let (plan, dims) = engine::plan(&model)?;
    Ok((Ready::Mixed(plan), dims))
}
