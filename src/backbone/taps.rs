//! Finds the penultimate feature, the logits, and the feature map before pooling in a float graph.
//!
//! From each output the search walks towards the image through operators that only reorder, round or
//! rescale values, and through the final activation. The first weighted layer it meets (`Gemm`,
//! `MatMul` with a constant, 1×1 `Conv`) is the classifier. Where it meets anything else first (a
//! pooling, a normalisation, an activation), the network is an embedding: its output is the feature.
//! One exception: under a `Softmax` a pooling is walked through, so that a 1×1 convolution before
//! it is the classifier, and the feature is the spatial mean of that convolution's input.

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

use super::engine::Fact;
use super::error::BackboneError;
use super::fake_quant::FAKE_QUANT;
use super::node;
use super::requant::REQUANT;
use super::tensor::{Constant, dims, integers};
use super::wiring::Wiring;

/// Operators that keep every value of their first input.
pub(super) const KEEPS: [&str; 10] =
    ["Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout", "Transpose", "CastLike", FAKE_QUANT];

/// What stands between the logits and the answer.
const ANSWERS: [&str; 6] = ["Softmax", "LogSoftmax", "Sigmoid", "Hardmax", "ArgMax", "TopK"];

/// A classifier layer and what follows it.
pub(super) struct Classifier<'g> {
    /// The weighted layer.
    pub(super) layer: &'g NodeProto,
    /// Pre-softmax tensor.
    pub(super) logits: String,
    /// From the layer down to the logits.
    pub(super) after: Vec<After>,
    /// The layer's output is pooled over space before it becomes the logits.
    pub(super) pooled: bool,
}

/// A step between the classifier layer and the logits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum After {
    /// Plus a constant tensor.
    Add(String),
    /// Times a constant tensor.
    Times(String),
    /// Over a constant tensor.
    Over(String),
    /// Times a number, or one number per class.
    Factor(Vec<f32>),
    /// Something that is no linear step.
    Other,
}

/// How the feature map lies in its tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    pub(super) tensor: String,
    /// Channels stand last.
    pub(super) channels_last: bool,
}

pub(super) struct Search<'g> {
    pub(super) wiring: &'g Wiring<'g>,
    pub(super) facts: &'g HashMap<String, Fact>,
}

impl<'g> Search<'g> {
    /// The classifier that leads to `output`, if one does.
    pub(super) fn classifier(&self, output: &str) -> Option<Classifier<'g>> {
        let mut at = output.to_owned();
        let mut logits = at.clone();
        let mut after = vec![];
        let (mut answered, mut pooled) = (false, false);
        loop {
            let maker = self.wiring.maker(&at)?;
            let next = match maker.op_type.as_str() {
                FAKE_QUANT => {
                    after.push(After::Factor(vec![node::float(maker, "scale", 1.0) / node::float(maker, "step", 1.0)]));
                    node::input(maker, 0)?
                }
                REQUANT => {
                    let scale = node::floats(maker, "rounding").map_or(1.0, |r| r.get(2).copied().unwrap_or(1.0));
                    let factors = node::floats(maker, "factors")?.iter().map(|f| f * scale).collect();
                    after.push(After::Factor(factors));
                    node::input(maker, 0)?
                }
                op if KEEPS.contains(&op) => node::input(maker, 0)?,
                op if ANSWERS.contains(&op) && !pooled => {
                    after.clear();
                    answered = answered || op.ends_with("oftmax");
                    let next = self.visible(node::input(maker, 0)?);
                    next.clone_into(&mut logits);
                    next
                }
                "Add" | "Mul" | "Div" => {
                    let (other, step) = self.step(maker)?;
                    after.push(step);
                    other
                }
                "Gemm" | "MatMul" | "Conv" => {
                    if !self.is_layer(maker, pooled) {
                        return None;
                    }
                    after.reverse();
                    return Some(Classifier { layer: maker, logits, after, pooled });
                }
                "GlobalAveragePool" | "ReduceMean" | "AveragePool" if answered && self.pooled(&at).is_some() => {
                    pooled = true;
                    node::input(maker, 0)?
                }
                "Relu" | "Clip" if pooled => {
                    after.push(After::Other);
                    node::input(maker, 0)?
                }
                _ => return None,
            };
            at = next.to_owned();
        }
    }

    /// The tensor of the file that one made by rewriting (`…#…`) is a rescaling of.
    fn visible(&self, tensor: &'g str) -> &'g str {
        let maker = self.wiring.maker(tensor).filter(|m| tensor.contains('#') && m.op_type == "Mul");
        maker.and_then(|m| node::input(m, 0)).unwrap_or(tensor)
    }

    /// The activation side of an addition, multiplication or division by a constant, or by the scale
    /// of a dynamic quantisation.
    fn step(&self, maker: &'g NodeProto) -> Option<(&'g str, After)> {
        let (a, b) = (node::input(maker, 0)?, node::input(maker, 1)?);
        let (activation, other) = if self.wiring.is_constant(b) || self.dynamic_scale(b) {
            (a, b)
        } else if maker.op_type != "Div" && (self.wiring.is_constant(a) || self.dynamic_scale(a)) {
            (b, a)
        } else {
            return None;
        };
        let step = match maker.op_type.as_str() {
            _ if !self.wiring.is_constant(other) => self.static_part(other),
            "Add" => After::Add(other.to_owned()),
            "Mul" => After::Times(other.to_owned()),
            _ => After::Over(other.to_owned()),
        };
        Some((activation, step))
    }

    /// Whether a tensor is the scale of `DynamicQuantizeLinear`, times constants.
    fn dynamic_scale(&self, tensor: &str) -> bool {
        let Some(maker) = self.wiring.maker(tensor) else { return false };
        match maker.op_type.as_str() {
            "DynamicQuantizeLinear" => maker.output.get(1).is_some_and(|o| o == tensor),
            "Mul" => {
                maker.input.iter().any(|i| self.dynamic_scale(i))
                    && maker.input.iter().all(|i| self.wiring.is_constant(i) || self.dynamic_scale(i))
            }
            _ => false,
        }
    }

    /// The constant by which a dynamic scale is multiplied: the scale of the weights.
    fn static_part(&self, scale: &str) -> After {
        let weights = self
            .wiring
            .maker(scale)
            .filter(|m| m.op_type == "Mul")
            .and_then(|m| m.input.iter().find(|i| self.wiring.is_constant(i)));
        weights.map_or(After::Factor(vec![1.0]), |name| After::Times(name.clone()))
    }

    /// Whether a node is a fully connected layer; a convolution counts where it sees one position,
    /// or where its output is pooled.
    fn is_layer(&self, maker: &NodeProto, pooled: bool) -> bool {
        let Some(weights) = node::input(maker, 1).filter(|w| self.wiring.is_constant(w)) else { return false };
        if maker.op_type != "Conv" {
            let rank = self.facts.get(weights).and_then(|f| f.shape.as_ref()).map_or(2, Vec::len);
            return !pooled && rank >= 2 && node::int(maker, "transA", 0) == 0;
        }
        let kernel = self.wiring.initializer(weights).and_then(|t| dims(t).ok());
        let one_by_one = kernel.is_some_and(|k| k.len() == 4 && k[2..] == [1, 1]);
        let positions = self.facts.get(&maker.output[0]).and_then(Fact::full).and_then(|s| Some(s.get(2)? * s.get(3)?));
        one_by_one && node::int(maker, "group", 1) == 1 && (pooled || positions == Some(1))
    }

    /// The map whose linear pooling is exactly `feature`.
    pub(super) fn map_of(&self, feature: &str) -> Option<Map> {
        let mut at = feature;
        loop {
            if let Some(map) = self.pooled(at) {
                return Some(map);
            }
            let maker = self.wiring.maker(at)?;
            let rescales = maker.op_type == "Mul" && node::input(maker, 1).is_some_and(|s| s.ends_with("#scale"));
            if !rescales && !KEEPS.contains(&maker.op_type.as_str()) {
                return None;
            }
            at = node::input(maker, 0)?;
        }
    }

    /// The map that the maker of `tensor` averages over all positions, if it does.
    fn pooled(&self, tensor: &str) -> Option<Map> {
        let maker = self.wiring.maker(tensor)?;
        let source = node::input(maker, 0).filter(|s| self.wiring.is_activation(s))?;
        let shape = self.facts.get(source).and_then(Fact::full)?;
        let map = |channels_last| Some(Map { tensor: source.to_owned(), channels_last });
        match maker.op_type.as_str() {
            "GlobalAveragePool" if shape.len() == 4 => map(false),
            "AveragePool" if shape.len() == 4 => {
                let kernel = node::ints(maker, "kernel_shape")?;
                let whole = kernel == [shape[2] as i64, shape[3] as i64];
                let padded = node::ints(maker, "pads").is_some_and(|p| p.iter().any(|&p| p != 0));
                let output = self.facts.get(tensor).and_then(Fact::full)?;
                (whole && !padded && output[2..] == [1, 1]).then(|| map(false))?
            }
            "ReduceMean" => {
                let rank = shape.len() as i64;
                let axes = match node::input(maker, 1) {
                    Some(name) => integers(self.wiring.initializer(name)?)?,
                    None => node::ints(maker, "axes")?.to_vec(),
                };
                let mut axes: Vec<i64> = axes.iter().map(|&a| if a < 0 { a + rank } else { a }).collect();
                axes.sort_unstable();
                match (rank, &axes[..]) {
                    (4, [2, 3]) => map(false),
                    (4, [1, 2]) => map(true),
                    (3, [2]) => self.unfolded(source, &shape),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The rank-4 tensor that `flat` (1×D×HW) is a reshaping of.
    fn unfolded(&self, flat: &str, shape: &[usize]) -> Option<Map> {
        let maker = self.wiring.maker(flat).filter(|m| matches!(m.op_type.as_str(), "Reshape" | "Flatten"))?;
        let source = node::input(maker, 0)?;
        let full = self.facts.get(source).and_then(Fact::full)?;
        (full.len() == 4 && full[1] == shape[1] && full[2] * full[3] == shape[2])
            .then(|| Map { tensor: source.to_owned(), channels_last: false })
    }

    /// The real-valued activation that a layer's input stands for: the tensor before dynamic
    /// quantisation, or the tensor itself.
    pub(super) fn real_input(&self, input: &str) -> String {
        let mut at = input;
        while let Some(maker) = self.wiring.maker(at) {
            match maker.op_type.as_str() {
                "Sub" | "Cast" if at.contains('#') => match node::input(maker, 0) {
                    Some(next) => at = next,
                    None => break,
                },
                "DynamicQuantizeLinear" => return node::input(maker, 0).unwrap_or(input).to_owned(),
                _ => break,
            }
        }
        input.to_owned()
    }
}

/// The names nearest to `wanted` among `names`, at most five.
pub(super) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> String {
    let wanted = wanted.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = names.map(|n| (distance(&wanted, &n.to_lowercase()), n)).collect();
    ranked.sort_unstable();
    let best: Vec<&str> = ranked.into_iter().take(5).map(|(_, n)| n).collect();
    best.join(", ")
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Refuses a tensor name that no node makes.
pub(super) fn known(role: &'static str, name: &str, wiring: &Wiring<'_>) -> Result<(), BackboneError> {
    if wiring.is_activation(name) {
        return Ok(());
    }
    let made = wiring.graph.node.iter().flat_map(|n| &n.output).map(String::as_str);
    let near = nearest(name, made.filter(|n| !n.contains('#') && wiring.is_activation(n)));
    Err(BackboneError::UnknownTensor { role, name: name.to_owned(), near })
}

/// The constant of one element that a name stands for, used where a scale is looked up.
pub(super) fn value(constant: &Constant, class: usize) -> f32 {
    if let [one] = constant.values[..] { one } else { constant.values.get(class).copied().unwrap_or(f32::NAN) }
}
