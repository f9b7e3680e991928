//! Weights as int8 per output channel, symmetric, and biases as int32 in units of the products.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};

use crate::backbone::node;
use crate::backbone::tensor::Constant;

/// Largest integer that a bias may become: far from the end of int32, where sums would run over.
const MOST_BIAS: f64 = (1 << 30) as f64;

/// The axis of a layer's weights that numbers its output channels.
pub(super) fn axis(from: &NodeProto) -> Option<usize> {
    match from.op_type.as_str() {
        "Conv" => Some(0),
        "Gemm" => Some(usize::from(node::int(from, "transB", 0) == 0)),
        "MatMul" => Some(1),
        _ => None,
    }
}

/// Quantised weights of one layer.
pub(super) struct Weights {
    pub(super) integers: Vec<i8>,
    /// One per output channel.
    pub(super) scales: Vec<f32>,
}

/// Largest magnitude in each slice along `axis`.
pub(super) fn peaks(weights: &Constant, axis: usize) -> Vec<f32> {
    let channels = weights.dims[axis];
    let inner: usize = weights.dims[axis + 1..].iter().product();
    let mut peaks = vec![0.0_f32; channels];
    for (at, value) in weights.values.iter().enumerate() {
        let channel = at / inner % channels;
        peaks[channel] = peaks[channel].max(value.abs());
    }
    peaks
}

/// Quantises weights; a channel whose bias would not fit beside such small weights gets a larger scale.
pub(super) fn quantise(weights: &Constant, axis: usize, bias: Option<&[f32]>, input_scale: f32) -> Weights {
    let scales: Vec<f32> = peaks(weights, axis)
        .iter()
        .enumerate()
        .map(|(channel, &peak)| {
            let bias = bias.map_or(0.0, |b| f64::from(b[channel].abs()));
            let scale = (f64::from(peak) / 127.0).max(bias / (f64::from(input_scale) * MOST_BIAS)) as f32;
            if scale.is_normal() { scale } else { 1.0 }
        })
        .collect();
    let (channels, inner): (usize, usize) = (weights.dims[axis], weights.dims[axis + 1..].iter().product());
    let integers = weights
        .values
        .iter()
        .enumerate()
        .map(|(at, &value)| {
            let scale = scales[at / inner % channels];
            (value / scale).round_ties_even().clamp(-127.0, 127.0) as i8
        })
        .collect();
    Weights { integers, scales }
}

/// A bias in units of `input_scale · scales[channel]`.
pub(super) fn bias(bias: &[f32], units: &[f32]) -> Vec<i32> {
    let one = |(&value, &unit): (&f32, &f32)| {
        let q = (f64::from(value) / f64::from(unit)).round_ties_even();
        q.clamp(-MOST_BIAS * 2.0 + 1.0, MOST_BIAS * 2.0 - 1.0) as i32
    };
    bias.iter().zip(units).map(one).collect()
}

pub(super) fn bytes(name: &str, dims: &[usize], values: &[i8]) -> TensorProto {
    raw(name, dims, DataType::Int8, values.iter().map(|v| v.cast_unsigned()).collect())
}

pub(super) fn words(name: &str, dims: &[usize], values: &[i32]) -> TensorProto {
    raw(name, dims, DataType::Int32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub(super) fn floats(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    raw(name, dims, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn raw(name: &str, dims: &[usize], kind: DataType, raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: kind as i32,
        raw_data,
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{bias, peaks, quantise};
    use crate::backbone::tensor::Constant;

    #[test]
    fn every_channel_has_its_own_scale_and_zero_stays_zero() {
        let weights = Constant { dims: vec![3, 2], values: vec![0.5, -1.27, 0.0, 0.0, 12.7, 6.35] };
        assert_eq!(peaks(&weights, 0), [1.27, 0.0, 12.7]);
        let q = quantise(&weights, 0, None, 1.0);
        assert_eq!(q.integers, [50, -127, 0, 0, 127, 64]);
        assert_eq!(q.scales[1], 1.0);
        let q = quantise(&weights, 1, None, 1.0);
        assert_eq!(q.scales.len(), 2);
        assert_eq!(q.integers[4], 127);
    }

    #[test]
    fn a_bias_beside_tiny_weights_still_fits() {
        let weights = Constant { dims: vec![1, 1], values: vec![1e-9] };
        let q = quantise(&weights, 0, Some(&[5.0]), 0.01);
        let integers = bias(&[5.0], &[q.scales[0] * 0.01]);
        assert!(integers[0] > (1 << 29) && integers[0] <= (1 << 30) + 128, "{}", integers[0]);
        assert_eq!(bias(&[1e30, -1e30], &[1.0, 1.0]), [i32::MAX, -i32::MAX]);
    }
}
