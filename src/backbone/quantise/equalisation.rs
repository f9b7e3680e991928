//! Cross-layer equalisation (Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight
//! Equalization and Bias Correction", ICCV 2019): the channels between two convolutions are scaled so that their weights
//! have like ranges on both sides. Only across nothing or `Relu`, for which f(s·x) = s·f(x) with s > 0; `Clip` with an upper
//! bound is left alone. Factors are powers of two, so that the function stays the same to the last bit.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::folding::{initializer, uses};
use crate::backbone::error::BackboneError;
use crate::backbone::node;
use crate::backbone::tensor::Constant;

/// Rounds over all places; a chain of depthwise and pointwise convolutions settles in a few.
const ROUNDS: usize = 20;

/// Largest exponent of a factor, either way.
const MOST: f32 = 12.0;

/// Two convolutions with the channels between them, by the names of their weights.
struct Place {
    weights: [String; 2],
    bias: Option<String>,
    /// Groups of the second convolution.
    groups: usize,
}

/// Equalises in place, and returns the number of places that changed.
pub(super) fn equalise(graph: &mut GraphProto) -> Result<usize, BackboneError> {
    let places = places(graph);
    let mut values: HashMap<String, Constant> = HashMap::new();
    for place in &places {
        for name in place.weights.iter().chain(&place.bias) {
            if let Some(tensor) = initializer(graph, name) {
                values.insert(name.clone(), Constant::read(tensor)?);
            }
        }
    }
    let mut changed = vec![false; places.len()];
    for _ in 0..ROUNDS {
        let mut still = true;
        for (place, changed) in places.iter().zip(&mut changed) {
            let factors = factors(&values[&place.weights[0]], &values[&place.weights[1]], place.groups);
            if factors.iter().any(|f| f.to_bits() != 1.0_f32.to_bits()) {
                rescale(&mut values, place, &factors);
                (*changed, still) = (true, false);
            }
        }
        if still {
            break;
        }
    }
    for tensor in &mut graph.initializer {
        if let Some(value) = values.get(&tensor.name) {
            *tensor = value.write(&tensor.name);
        }
    }
    Ok(changed.into_iter().filter(|c| *c).count())
}

/// What each channel is divided by on the first side and multiplied with on the second: 2 to the nearest whole
/// number to log₂ √(r₁ / r₂); ties go to the even one, so that no place swings for ever.
fn factors(first: &Constant, second: &Constant, groups: usize) -> Vec<f32> {
    let before = super::weights::peaks(first, 0);
    let mut after = vec![0.0_f32; before.len()];
    each(second, groups, |channel, value| after[channel] = after[channel].max(value.abs()));
    let one = |(r1, r2): (&f32, &f32)| {
        let exponent = (r1 / r2).log2() / 2.0;
        if exponent.is_finite() { exponent.clamp(-MOST, MOST).round_ties_even().exp2() } else { 1.0 }
    };
    before.iter().zip(&after).map(one).collect()
}

/// Calls `visit` with the input channel of every weight of a convolution.
fn each(weights: &Constant, groups: usize, mut visit: impl FnMut(usize, f32)) {
    for (at, value) in weights.values.iter().enumerate() {
        visit(input_channel(&weights.dims, groups, at), *value);
    }
}

fn input_channel(dims: &[usize], groups: usize, at: usize) -> usize {
    let kernel: usize = dims[2..].iter().product();
    let (output, within) = (at / kernel / dims[1], at / kernel % dims[1]);
    output / (dims[0] / groups) * dims[1] + within
}

fn rescale(values: &mut HashMap<String, Constant>, place: &Place, factors: &[f32]) {
    for name in place.weights.first().into_iter().chain(&place.bias) {
        if let Some(constant) = values.get_mut(name) {
            let row = constant.values.len() / factors.len();
            for (row, factor) in constant.values.chunks_exact_mut(row).zip(factors) {
                for value in row {
                    *value /= factor;
                }
            }
        }
    }
    if let Some(second) = values.get_mut(&place.weights[1]) {
        let dims = second.dims.clone();
        for (at, value) in second.values.iter_mut().enumerate() {
            *value *= factors[input_channel(&dims, place.groups, at)];
        }
    }
}

/// Every place, in the order of the graph: nothing else reads what lies between, and no layer shares the weights.
fn places(graph: &GraphProto) -> Vec<Place> {
    let uses = uses(graph);
    let once = |name: &str| uses.get(name) == Some(&1);
    let maker = |name: &str| graph.node.iter().find(|n| n.output.iter().any(|o| o == name));
    let own = |from: &NodeProto, index: usize| {
        node::input(from, index).filter(|w| once(w) && initializer(graph, w).is_some()).map(str::to_owned)
    };
    let mut places = Vec::new();
    for second in graph.node.iter().filter(|n| n.op_type == "Conv") {
        let Some(mut between) = node::input(second, 0) else { continue };
        if !once(between) {
            continue;
        }
        let Some(mut first) = maker(between) else { continue };
        if first.op_type == "Relu" {
            between = &first.input[0];
            match maker(between).filter(|_| once(between)) {
                Some(before) => first = before,
                None => continue,
            }
        }
        if first.op_type != "Conv" {
            continue;
        }
        let bias = own(first, 2);
        if bias.is_none() && node::input(first, 2).is_some() {
            continue;
        }
        let (Some(left), Some(right)) = (own(first, 1), own(second, 1)) else { continue };
        let shape = |name: &str| initializer(graph, name).map(|t| t.dims.clone()).unwrap_or_default();
        let (before, after) = (shape(&left), shape(&right));
        let groups = node::int(second, "group", 1);
        let sound = before.len() == 4
            && after.len() == 4
            && groups > 0
            && after[0] % groups == 0
            && before.iter().chain(&after).all(|&d| d > 0)
            && after[1] * groups == before[0]
            && bias.as_ref().is_none_or(|b| shape(b) == [before[0]]);
        if sound {
            places.push(Place { weights: [left, right], bias, groups: groups as usize });
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{factors, input_channel};
    use crate::backbone::tensor::Constant;

    #[test]
    fn factors_bring_both_sides_within_a_factor_of_two() {
        let first = Constant { dims: vec![3, 1, 1, 1], values: vec![64.0, 1.0, 0.0] };
        let second = Constant { dims: vec![2, 3, 1, 1], values: vec![1.0, 0.25, 1.0, -0.5, 0.1, 2.0] };
        assert_eq!(factors(&first, &second, 1), [8.0, 2.0, 1.0]);
    }

    #[test]
    fn groups_shift_the_input_channel() {
        // Four outputs of two groups, two inputs each: outputs 2 and 3 read inputs 2 and 3.
        let dims = [4, 2, 1, 1];
        let channels: Vec<usize> = (0..8).map(|at| input_channel(&dims, 2, at)).collect();
        assert_eq!(channels, [0, 1, 0, 1, 2, 3, 2, 3]);
    }
}
