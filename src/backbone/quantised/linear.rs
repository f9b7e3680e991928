//! Operators on quantised tensors (`QLinear…`, `QGemm`, `ConvInteger`, `MatMulInteger`) as their float
//! counterparts over integers, followed by the requantisation that ONNX and ONNX Runtime define.

use shelfwatch_network::Bounds;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::BackboneError;
use super::super::fake_quant::FakeQuant;
use super::super::node;
use super::super::requant::Requant;
use super::{Quantisation, Rewriter, range, refuse};

impl Rewriter {
    /// Scale and zero point of the output, at inputs `index` and `index + 1`.
    fn target(&mut self, from: &NodeProto, index: usize) -> Result<Quantisation, BackboneError> {
        let scale = self.constant(from, index)?;
        let zero = self.constant_or_zero(from, index + 1)?;
        let kind = self.kind(from, index + 1, DataType::Uint8)?;
        Self::per_tensor(from, &scale, &zero, kind)
    }

    fn one(&mut self, from: &NodeProto, index: usize) -> Result<f32, BackboneError> {
        match self.constant(from, index)?.values[..] {
            [one] => Ok(one),
            _ => Err(refuse(from, "activation is quantised per channel".to_owned())),
        }
    }

    /// Saturates `from` (in units of the output's scale) into the node's output.
    fn finish(&mut self, of: &NodeProto, from: &str, target: Quantisation) {
        self.saturate(from, &of.output[0], 1.0, &target);
        self.known.activations.insert(of.output[0].clone(), target);
    }

    /// `QLinearConv`, `QLinearMatMul`, `QGemm`: the sum of integer products times
    /// `x_scale · w_scale / y_scale`, rounded.
    pub(super) fn weighted(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        if node::int(from, "channels_last", 0) != 0 {
            return Err(refuse(from, "has channels last".to_owned()));
        }
        let (op, bias_at, target_at) = match from.op_type.as_str() {
            "QLinearConv" => ("Conv", 8, 6),
            "QGemm" => ("Gemm", 6, 7),
            _ => ("MatMul", usize::MAX, 6),
        };
        let x = self.shifted(from, 0, Some(2))?;
        let w = self.shifted(from, 3, Some(5))?;
        let x_scale = self.one(from, 1)?;
        let w_scale = self.constant(from, 4)?.values;
        let alpha = if op == "Gemm" { node::float(from, "alpha", 1.0) } else { 1.0 };
        let products: Vec<f32> = w_scale.iter().map(|&s| alpha * x_scale * s).collect();
        let mut inputs = vec![x, w];
        if bias_at != usize::MAX && node::input(from, bias_at).is_some() {
            let mut bias = self.constant(from, bias_at)?;
            if op == "Gemm" && bias.dims.len() > 1 {
                bias.dims = vec![bias.values.len()];
            }
            let name = self.add_constant(&format!("{}#bias", from.output[0]), bias);
            inputs.push(name);
        }
        let sums = format!("{}#sums", from.output[0]);
        let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut product = node::make(op, &names, &sums);
        product.attribute =
            from.attribute.iter().filter(|a| a.name != "alpha" && a.name != "channels_last").cloned().collect();
        self.nodes.push(product);
        let inner_axes = if op == "Conv" { 2 } else { 0 };
        if node::input(from, target_at).is_none() {
            let scaled = Requant { factors: products.into(), inner_axes, rounding: None };
            self.nodes.push(scaled.node(&sums, &from.output[0]));
            return Ok(());
        }
        let target = self.target(from, target_at)?;
        let Bounds { low, high } = target.bounds();
        let factors = products.iter().map(|p| p / target.scale).collect();
        let saturated = Requant { factors, inner_axes, rounding: Some([low, high, 1.0]) };
        self.nodes.push(saturated.node(&sums, &from.output[0]));
        self.known.activations.insert(from.output[0].clone(), target);
        Ok(())
    }

    /// `ConvInteger`, `MatMulInteger`: integer sums, held in f32.
    pub(super) fn integer(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        let x = self.shifted(from, 0, Some(2))?;
        let w = self.shifted(from, 1, Some(3))?;
        let op = if from.op_type == "ConvInteger" { "Conv" } else { "MatMul" };
        let mut product = node::make(op, &[&x, &w], &from.output[0]);
        product.name = node::label(from);
        product.attribute.clone_from(&from.attribute);
        self.nodes.push(product);
        Ok(())
    }

    /// `QLinearAdd`, `QLinearMul`: inputs a, its scale and zero point, b likewise, then the output's.
    pub(super) fn binary(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        let out = from.output[0].clone();
        let a = self.shifted(from, 0, Some(2))?;
        let b = self.shifted(from, 3, Some(5))?;
        let (a_scale, b_scale) = (self.one(from, 1)?, self.one(from, 4)?);
        let target = self.target(from, 6)?;
        let combined = format!("{out}#combined");
        if from.op_type == "QLinearAdd" {
            let (left, right) = (format!("{out}#a"), format!("{out}#b"));
            self.scale_by(&a, a_scale / target.scale, &left);
            self.scale_by(&b, b_scale / target.scale, &right);
            self.nodes.push(node::make("Add", &[&left, &right], &combined));
        } else {
            let product = format!("{out}#product");
            self.nodes.push(node::make("Mul", &[&a, &b], &product));
            self.scale_by(&product, a_scale * b_scale / target.scale, &combined);
        }
        self.finish(from, &combined, target);
        Ok(())
    }

    /// `QLinearConcat`: the output's scale and zero point, then tensor, scale, zero point of each part.
    pub(super) fn concat(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        let target = self.target(from, 0)?;
        let mut parts = vec![];
        for at in (2..from.input.len()).step_by(3) {
            let part = self.shifted(from, at, Some(at + 2))?;
            let real = format!("{}#part{at}", from.output[0]);
            let scale = self.one(from, at + 1)?;
            self.scale_by(&part, scale, &real);
            let q = format!("{real}#q");
            self.saturate(&real, &q, target.scale, &target);
            parts.push(q);
        }
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut joined = node::make("Concat", &names, &from.output[0]);
        joined.attribute.clone_from(&from.attribute);
        self.nodes.push(joined);
        self.known.activations.insert(from.output[0].clone(), target);
        Ok(())
    }

    /// Operators of one tensor: dequantise, the float operator, quantise. Inputs x, its scale and zero
    /// point, then the output's.
    pub(super) fn unary(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        let op = match from.op_type.as_str() {
            "QLinearSigmoid" => "Sigmoid",
            "QLinearLeakyRelu" => "LeakyRelu",
            "QLinearSoftmax" => "Softmax",
            "QLinearGlobalAveragePool" => "GlobalAveragePool",
            "QLinearAveragePool" => "AveragePool",
            "QLinearReduceMean" => "ReduceMean",
            _ => return Err(BackboneError::UnknownOp { op: node::operator(from), node: node::label(from) }),
        };
        if node::int(from, "channels_last", 0) != 0 {
            return Err(refuse(from, "has channels last".to_owned()));
        }
        let out = &from.output[0];
        let x = self.shifted(from, 0, Some(2))?;
        let scale = self.one(from, 1)?;
        let target = self.target(from, 3)?;
        let drop = ["channels_last", "opset"];
        let attributes: Vec<_> = from.attribute.iter().filter(|a| !drop.contains(&a.name.as_str())).cloned().collect();
        let result = format!("{out}#real");
        // Pooling is linear: it may run on the integers, whose sums are exact.
        let linear = op.ends_with("Pool") || op == "ReduceMean";
        let (argument, step) = if linear {
            (x, None)
        } else {
            let real = format!("{out}#argument");
            self.scale_by(&x, scale, &real);
            (real, Some(target.scale))
        };
        let mut float = node::make(op, &[&argument], &result);
        float.attribute = attributes;
        self.nodes.push(float);
        if let Some(step) = step {
            self.saturate(&result, out, step, &target);
            self.known.activations.insert(out.clone(), target);
        } else {
            let scaled = format!("{out}#scaled");
            self.scale_by(&result, scale / target.scale, &scaled);
            self.finish(from, &scaled, target);
        }
        Ok(())
    }

    /// `Relu` and `Clip` on integers: a narrower saturation.
    pub(super) fn clip(&mut self, from: &NodeProto, held: Quantisation) -> Result<(), BackboneError> {
        let (low, high) = range(held.kind).unwrap_or((-128.0, 127.0));
        let (mut low, mut high) = (low - held.zero, high - held.zero);
        if from.op_type == "Relu" {
            low = low.max(-held.zero);
        } else {
            for at in [1, 2].into_iter().filter(|&at| node::input(from, at).is_some()) {
                let bound = self.one(from, at)? - held.zero;
                if at == 1 { low = low.max(bound) } else { high = high.min(bound) }
            }
        }
        if low > high {
            return Err(refuse(from, format!("clips to the empty range {low} to {high}")));
        }
        self.nodes.push(FakeQuant { step: 1.0, low, high, scale: 1.0 }.node(&from.input[0], &from.output[0]));
        self.known.activations.insert(from.output[0].clone(), held);
        Ok(())
    }
}
