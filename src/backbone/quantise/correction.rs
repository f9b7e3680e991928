//! Bias correction (Nagel et al., ICCV 2019, section 4.2): rounded weights shift the mean of what a layer computes, and
//! its bias takes that back. The shift of each layer is measured on images, as the difference of the means that its float
//! and its rounded weights give on the same quantised input.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::probe::Probe;
use super::range::Range;
use super::{FloatNetwork, Unquantisable};
use crate::backbone::error::BackboneError;
use crate::backbone::node;
use crate::preprocess::Pixels;

/// What is added to the bias of each layer, by its output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Correction {
    shifts: HashMap<String, Vec<f32>>,
}

impl Correction {
    pub(super) fn of(&self, output: &str) -> Option<&[f32]> {
        self.shifts.get(output).map(Vec::as_slice)
    }

    /// Layers that are corrected.
    pub fn layers(&self) -> usize {
        self.shifts.len()
    }
}

/// Sums of the per-channel means of every layer over images, with float and with rounded weights.
pub struct Moments {
    layers: Vec<String>,
    sums: Vec<Vec<f64>>,
    images: u64,
}

impl FloatNetwork {
    /// A network that shows the layers' means for [`Moments`].
    ///
    /// # Errors
    /// Where the engine cannot run it.
    pub fn corrector(&self, ranges: &[Range]) -> Result<(Probe, Moments), Unquantisable> {
        let (mut model, _) = self.quantised_model(ranges, None)?;
        let float = self.model.graph.as_ref().ok_or(BackboneError::Empty("graph"))?;
        let graph = model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
        let (mut layers, mut outputs, mut more) = (Vec::new(), Vec::new(), Vec::new());
        // Both graphs hold the same convolutions in the same order; only activations behind them are gone from one.
        let convolutions = |graph: &GraphProto| graph.node.iter().filter(|n| n.op_type == "Conv").cloned().collect();
        let (rounded, floats): (Vec<NodeProto>, Vec<NodeProto>) = (convolutions(graph), convolutions(float));
        for (layer, twin) in rounded.iter().zip(&floats) {
            if !self.placement.quantised.contains(&twin.output[0]) {
                continue;
            }
            let output = layer.output[0].clone();
            let mut again = twin.clone();
            again.input[0].clone_from(&layer.input[0]);
            again.name.clear();
            let names = [format!("{output}_float_mean"), format!("{output}_mean"), format!("{output}_float")];
            again.output[0].clone_from(&names[2]);
            more.push(again);
            more.push(node::make("GlobalAveragePool", &[&names[2]], &names[0]));
            more.push(node::make("GlobalAveragePool", &[&output], &names[1]));
            outputs.extend(names.into_iter().take(2));
            layers.push(output);
        }
        graph.node.extend(more);
        let known: Vec<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
        graph.initializer.extend(float.initializer.iter().filter(|t| !known.contains(&t.name)).cloned());
        let probe = Probe::new(&model, self.shape, &outputs)?;
        let sums = vec![Vec::new(); outputs.len()];
        Ok((probe, Moments { layers, sums, images: 0 }))
    }
}

impl Moments {
    /// The means of one image, in the order that [`Moments::add`] takes.
    ///
    /// # Errors
    /// Where the image cannot be run.
    pub fn look(probe: &mut Probe, pixels: &Pixels) -> Result<Vec<Vec<f32>>, BackboneError> {
        let mut means = Vec::new();
        probe.run(pixels, |_, values| means.push(values.to_vec()))?;
        Ok(means)
    }

    /// Adds one image.
    pub fn add(&mut self, means: &[Vec<f32>]) {
        for (sum, mean) in self.sums.iter_mut().zip(means) {
            sum.resize(mean.len(), 0.0);
            sum.iter_mut().zip(mean).for_each(|(s, m)| *s += f64::from(*m));
        }
        self.images += 1;
    }

    /// What the biases have to be shifted by.
    pub fn correction(&self) -> Correction {
        let images = self.images.max(1) as f64;
        let shift = |pair: &[Vec<f64>]| pair[0].iter().zip(&pair[1]).map(|(f, q)| ((f - q) / images) as f32).collect();
        let shifts = self.layers.iter().cloned().zip(self.sums.chunks_exact(2).map(shift)).collect();
        Correction { shifts }
    }
}
