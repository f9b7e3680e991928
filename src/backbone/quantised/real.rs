//! Real layers between dequantised tensors, run on the integers themselves: their sums are exact, so
//! the result is the same on every machine, whatever the order of summation.

use tract_onnx::pb::NodeProto;

use super::super::error::BackboneError;
use super::super::node;
use super::super::requant::Requant;
use super::super::tensor::Constant;
use super::{Rewriter, Sums};

/// Relative difference up to which a bias counts as quantised by the product of the scales.
const SAME_SCALE: f32 = 1e-4;

impl Rewriter {
    /// `Conv`, `Gemm`, `MatMul`: on integers where both operands were dequantised, else as it stands.
    pub(super) fn real(&mut self, from: NodeProto) -> Result<(), BackboneError> {
        let Some(sums) = self.integer_sums(&from) else { return self.passing(from) };
        let scaled = Requant { factors: sums.factors.clone().into(), inner_axes: sums.inner_axes, rounding: None };
        self.nodes.push(scaled.node(&sums.name, &from.output[0]));
        self.sums.insert(from.output[0].clone(), sums);
        Ok(())
    }

    fn integer_sums(&mut self, from: &NodeProto) -> Option<Sums> {
        let x = self.dequantised.get(node::input(from, 0)?)?.clone();
        let x_scale = self.known.activations.get(&x)?.scale;
        let weights = self.unpacked.get(node::input(from, 1)?)?;
        let plain = |name: &str| node::attribute(from, name).is_none_or(|a| a.f.to_bits() == 1.0_f32.to_bits());
        let rank = weights.integers.dims.len();
        let (channel, inner_axes) = match from.op_type.as_str() {
            "Conv" if rank == 4 => (0, 2),
            "Gemm" if rank == 2 && plain("alpha") && plain("beta") && node::int(from, "transA", 0) == 0 => {
                (usize::from(node::int(from, "transB", 0) == 0), 0)
            }
            "MatMul" if rank == 2 => (1, 0),
            _ => return None,
        };
        let channels = weights.integers.dims[channel];
        let axis = if weights.axis < 0 { weights.axis + rank as i64 } else { weights.axis };
        let by_channel = weights.scale.values.len() == channels && weights.scale.dims.len() == 1;
        if weights.scale.values.len() != 1 && !(by_channel && axis == channel as i64) {
            return None;
        }
        let factors: Vec<f32> = weights.scale.values.iter().map(|s| s * x_scale).collect();
        let integers = weights.integers.clone();
        let mut inputs = vec![x, format!("{}#integers", from.input[1])];
        let bias = match node::input(from, 2) {
            Some(name) => Some(self.integer_bias(from, name, channels, &factors)?),
            None => None,
        };
        self.add_constant(&inputs[1], integers);
        if let Some(bias) = bias {
            inputs.push(self.add_constant(&format!("{}#bias", from.output[0]), bias));
        }
        let name = format!("{}#sums", from.output[0]);
        let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut product = node::make(&from.op_type, &names, &name);
        product.attribute.clone_from(&from.attribute);
        self.nodes.push(product);
        Some(Sums { name, factors, inner_axes })
    }

    /// The bias in units of the sums: its own integers where their scale is that of the products.
    fn integer_bias(&mut self, from: &NodeProto, name: &str, channels: usize, factors: &[f32]) -> Option<Constant> {
        let factor = |c: usize| if factors.len() == 1 { factors[0] } else { factors[c] };
        let fits = |values: &[f32]| values.len() == channels;
        if let Some(unpacked) = self.unpacked.get(name).filter(|u| fits(&u.integers.values)) {
            let scale = &unpacked.scale.values;
            let near = |c: usize| {
                let scale = if scale.len() == 1 { scale[0] } else { scale[c] };
                (scale / factor(c) - 1.0).abs() <= SAME_SCALE
            };
            if (scale.len() == 1 || fits(scale)) && (0..channels).all(near) {
                return Some(Constant { dims: vec![channels], values: unpacked.integers.values.clone() });
            }
        }
        let mut real = self.constant_named(from, name).ok().filter(|r| fits(&r.values))?;
        real.dims = vec![channels];
        real.values.iter_mut().enumerate().for_each(|(c, b)| *b /= factor(c));
        Some(real)
    }
}
