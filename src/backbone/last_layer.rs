//! Reads the classifier's last layer from the graph, through whatever rescales its weights or its result.

use tract_onnx::pb::ModelProto;

use super::engine;
use super::head::Head;
use super::node;
use super::quantised::Rewritten;
use super::taps::{After, Classifier, value};
use super::tensor::Constant;
use super::wiring::{Wiring, prune};

/// The value of a constant tensor, computed where it is no initializer.
fn constant(model: &ModelProto, wiring: &Wiring<'_>, name: &str) -> Option<Constant> {
    if let Some(tensor) = wiring.initializer(name) {
        return Constant::read(tensor).ok();
    }
    let mut part = model.clone();
    let graph = part.graph.as_mut()?;
    prune(graph, &[name]);
    graph.input.clear();
    engine::evaluate(&part).ok()
}

/// Reads the head of `found`; `None` where it is no affine map of the feature.
pub(super) fn read(
    model: &ModelProto,
    wiring: &Wiring<'_>,
    found: &Classifier<'_>,
    rewritten: &Rewritten,
) -> Option<Head> {
    let layer = found.layer;
    let weights = constant(model, wiring, node::input(layer, 1)?)?;
    let (mut by_class, classes, dim) = match (layer.op_type.as_str(), &weights.dims[..]) {
        ("Conv", [c, d, 1, 1]) => (weights.values, *c, *d),
        ("Gemm", [c, d]) if node::int(layer, "transB", 0) == 1 => (weights.values, *c, *d),
        ("Gemm" | "MatMul", [d, c]) => {
            let turned = (0..c * d).map(|i| weights.values[i % d * c + i / d]).collect();
            (turned, *c, *d)
        }
        _ => return None,
    };
    if classes == 0 || dim == 0 {
        return None;
    }
    let mut bias = vec![0.0_f32; classes];
    let fits = |c: &Constant| c.values.len() == 1 || c.values.len() == classes;
    if let Some(name) = node::input(layer, 2) {
        let read = constant(model, wiring, name).filter(fits)?;
        let beta = node::float(layer, "beta", 1.0);
        bias.iter_mut().enumerate().for_each(|(c, b)| *b = beta * value(&read, c));
    }
    let alpha = node::float(layer, "alpha", 1.0);
    // A quantised feature arrives as integers, its scale being part of the factors below.
    let step = rewritten.activations.get(node::input(layer, 0)?).map_or(1.0, |q| q.scale);
    for w in &mut by_class {
        *w *= alpha / step;
    }
    for after in &found.after {
        let (by, apply): (Constant, fn(f32, f32) -> f32) = match after {
            After::Factor(f) => (Constant { dims: vec![f.len()], values: f.clone() }, |v, p| v * p),
            After::Other => return None,
            After::Add(name) => (constant(model, wiring, name)?, |v, p| v + p),
            After::Times(name) => (constant(model, wiring, name)?, |v, p| v * p),
            After::Over(name) => (constant(model, wiring, name)?, |v, p| v / p),
        };
        if !fits(&by) {
            return None;
        }
        bias.iter_mut().enumerate().for_each(|(c, b)| *b = apply(*b, value(&by, c)));
        if !matches!(after, After::Add(_)) {
            for (row, c) in by_class.chunks_exact_mut(dim).zip(0..) {
                for w in row {
                    *w = apply(*w, value(&by, c));
                }
            }
        }
    }
    let finite = by_class.iter().chain(&bias).all(|v| v.is_finite());
    finite.then_some(Head { weights: by_class, bias, classes, dim })
}
