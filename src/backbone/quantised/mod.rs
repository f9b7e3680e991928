//! Rewrites quantised graphs into float ones that compute the same numbers: every quantised
//! activation is held in f32 as `q − zero point`, weights are unpacked up front, and rounding and
//! saturation stay as fake-quantisation nodes. Integer sums are exact below 2²⁴.
//! Refuses arithmetic on raw integers that ONNX's quantisation tools do not emit.

mod linear;
mod passing;
mod real;

use std::collections::HashMap;

use shelfwatch_network::Bounds;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::error::BackboneError;
use super::fake_quant::FakeQuant;
use super::node;
use super::requant::Requant;
use super::tensor::Constant;

/// How a quantised tensor maps to real numbers: `scale · (q − zero)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantisation {
    pub(super) scale: f32,
    pub(super) zero: f32,
    pub(super) kind: DataType,
}

impl Quantisation {
    /// Least and greatest integer, zero point subtracted.
    pub(super) fn bounds(&self) -> Bounds {
        let (low, high) = range(self.kind).unwrap_or((-128.0, 127.0));
        Bounds { low: low - self.zero, high: high - self.zero }
    }
}

/// Least and greatest integer of a quantised type.
fn range(kind: DataType) -> Option<(f32, f32)> {
    Some(match kind {
        DataType::Int8 => (-128.0, 127.0),
        DataType::Uint8 => (0.0, 255.0),
        DataType::Int16 => (-32768.0, 32767.0),
        DataType::Uint16 => (0.0, 65535.0),
        DataType::Int4 => (-8.0, 7.0),
        DataType::Uint4 => (0.0, 15.0),
        _ => return None,
    })
}

/// What the rewriting knows afterwards.
#[derive(Default)]
pub(super) struct Rewritten {
    /// Activations held as `q − zero`.
    pub(super) activations: HashMap<String, Quantisation>,
    /// Whether the graph holds any operator of quantisation.
    pub(super) quantised: bool,
}

/// Rewrites `graph` in place. `Constant` nodes have become initializers before.
pub(super) fn rewrite(graph: &mut GraphProto) -> Result<Rewritten, BackboneError> {
    let quantised = graph.node.iter().any(|n| {
        n.op_type.starts_with("QLinear")
            || matches!(
                n.op_type.as_str(),
                "QuantizeLinear"
                    | "DequantizeLinear"
                    | "DynamicQuantizeLinear"
                    | "ConvInteger"
                    | "MatMulInteger"
                    | "QGemm"
            )
    });
    if !quantised {
        return Ok(Rewritten::default());
    }
    let nodes = std::mem::take(&mut graph.node);
    let mut rewriter = Rewriter {
        nodes: Vec::with_capacity(nodes.len() + nodes.len() / 2),
        constants: std::mem::take(&mut graph.initializer).into_iter().map(|t| (t.name.clone(), t)).collect(),
        sources: HashMap::new(),
        read: HashMap::new(),
        shifted: HashMap::new(),
        sums: HashMap::new(),
        dequantised: HashMap::new(),
        unpacked: HashMap::new(),
        known: Rewritten { quantised: true, ..Rewritten::default() },
    };
    for from in nodes {
        rewriter.node(from)?;
    }
    graph.node = rewriter.nodes;
    graph.initializer = rewriter.constants.into_values().collect();
    graph.initializer.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rewriter.known)
}

struct Rewriter {
    nodes: Vec<NodeProto>,
    constants: HashMap<String, TensorProto>,
    /// Input of the quantisation node that made an activation.
    sources: HashMap<String, String>,
    read: HashMap<String, Constant>,
    /// Float tensors made of raw integer ones, by name and zero point.
    shifted: HashMap<(String, String), String>,
    /// Real tensors that are integer sums times factors.
    sums: HashMap<String, Sums>,
    /// The quantised tensor that a real one was made of.
    dequantised: HashMap<String, String>,
    /// The integers and scales that a real constant was made of.
    unpacked: HashMap<String, Unpacked>,
    known: Rewritten,
}

/// Integer sums that become a real tensor when multiplied by `factors`.
#[derive(Clone)]
struct Sums {
    name: String,
    factors: Vec<f32>,
    inner_axes: usize,
}

/// A dequantised constant: its integers, zero point subtracted, its scale, and the channel axis.
struct Unpacked {
    integers: Constant,
    scale: Constant,
    axis: i64,
}

impl Rewriter {
    fn node(&mut self, from: NodeProto) -> Result<(), BackboneError> {
        match from.op_type.as_str() {
            "QuantizeLinear" => self.quantize(&from),
            "DequantizeLinear" => self.dequantize(&from),
            "QLinearConv" | "QLinearMatMul" | "QGemm" => self.weighted(&from),
            "ConvInteger" | "MatMulInteger" => self.integer(&from),
            "QLinearAdd" | "QLinearMul" => self.binary(&from),
            "QLinearConcat" => self.concat(&from),
            op if op.starts_with("QLinear") => self.unary(&from),
            "Identity" if self.constants.contains_key(&from.input[0]) => {
                let mut copy = self.constants[&from.input[0]].clone();
                copy.name.clone_from(&from.output[0]);
                self.constants.insert(copy.name.clone(), copy);
                Ok(())
            }
            "Conv" | "Gemm" | "MatMul" => self.real(from),
            _ => self.passing(from),
        }
    }

    /// `QuantizeLinear`: of a constant, done now; of an activation, one fake-quantisation node.
    fn quantize(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        let (x, y) = (from.input[0].clone(), from.output[0].clone());
        let scale = self.constant(from, 1)?;
        let kind = self.kind(from, 2, DataType::Uint8)?;
        let zero = self.constant_or_zero(from, 2)?;
        let (low, high) = range(kind).ok_or_else(|| refuse(from, format!("quantises to {kind:?}")))?;
        if self.constants.contains_key(&x) {
            let axis = node::int(from, "axis", 1);
            let mut values = self.constant_named(from, &x)?;
            values.along(&scale, axis, |v, s| v / s).map_err(|e| refuse(from, e))?;
            // `low` and `high` bound q; the zero point is added only for the bound.
            let mut q = values.clone();
            q.along(&zero, axis, |v, z| (v.round_ties_even() + z).clamp(low, high)).map_err(|e| refuse(from, e))?;
            let mut tensor = q.write(&y);
            tensor.data_type = DataType::Float as i32;
            self.read.insert(y.clone(), q);
            self.constants.insert(y, tensor);
            return Ok(());
        }
        let quantisation = Self::per_tensor(from, &scale, &zero, kind)?;
        self.saturate(&x, &y, quantisation.scale, &quantisation);
        self.sources.insert(y.clone(), x);
        self.known.activations.insert(y, quantisation);
        Ok(())
    }

    /// `DequantizeLinear`: of a constant, done now; of `QuantizeLinear`, both become one node.
    fn dequantize(&mut self, from: &NodeProto) -> Result<(), BackboneError> {
        let (x, y) = (from.input[0].clone(), from.output[0].clone());
        let scale = self.constant(from, 1)?;
        let zero = self.constant_or_zero(from, 2)?;
        if self.constants.contains_key(&x) {
            let axis = node::int(from, "axis", 1);
            let mut values = self.constant_named(from, &x)?;
            values.along(&zero, axis, |v, z| v - z).map_err(|e| refuse(from, e))?;
            let integers = values.clone();
            values.along(&scale, axis, |v, s| v * s).map_err(|e| refuse(from, e))?;
            self.unpacked.insert(y.clone(), Unpacked { integers, scale, axis });
            self.constants.insert(y.clone(), values.write(&y));
            self.read.insert(y, values);
            return Ok(());
        }
        let kind = self.known.activations.get(&x).map_or(DataType::Uint8, |q| q.kind);
        let quantisation = Self::per_tensor(from, &scale, &zero, kind)?;
        if let (Some(source), Some(made)) = (self.sources.get(&x).cloned(), self.known.activations.get(&x))
            && *made == quantisation
        {
            self.dequantised.insert(y.clone(), x);
            self.saturate_to(&source, &y, quantisation.scale, &quantisation, quantisation.scale);
            return Ok(());
        }
        let shifted = self.shifted(from, 0, Some(2))?;
        if self.known.activations.get(&x) == Some(&quantisation) {
            self.dequantised.insert(y.clone(), x);
        }
        self.scale_by(&shifted, quantisation.scale, &y);
        Ok(())
    }

    /// Scale and zero point of an activation: one each.
    fn per_tensor(
        from: &NodeProto,
        scale: &Constant,
        zero: &Constant,
        kind: DataType,
    ) -> Result<Quantisation, BackboneError> {
        let ([scale], [zero]) = (&scale.values[..], &zero.values[..]) else {
            return Err(refuse(from, "activation is quantised per channel".to_owned()));
        };
        let usable = scale.is_finite() && *scale > 0.0 && zero.abs() <= 65535.0 && zero.fract() == 0.0;
        if !usable {
            return Err(refuse(from, format!("has scale {scale} and zero point {zero}")));
        }
        if range(kind).is_some_and(|(low, high)| *zero < low || *zero > high) {
            return Err(refuse(from, format!("zero point {zero} lies outside {kind:?}")));
        }
        Ok(Quantisation { scale: *scale, zero: *zero, kind })
    }

    /// Integers of `to` from real numbers (`step` = scale) or from integers already scaled (`step` = 1).
    fn saturate(&mut self, from: &str, to: &str, step: f32, target: &Quantisation) {
        self.saturate_to(from, to, step, target, 1.0);
    }

    fn saturate_to(&mut self, from: &str, to: &str, step: f32, target: &Quantisation, scale: f32) {
        let Bounds { low, high } = target.bounds();
        let made = match self.sums.get(from) {
            Some(sums) => Requant {
                factors: sums.factors.iter().map(|f| f / step).collect(),
                inner_axes: sums.inner_axes,
                rounding: Some([low, high, scale]),
            }
            .node(&sums.name, to),
            None => FakeQuant { step, low, high, scale }.node(from, to),
        };
        self.nodes.push(made);
    }

    /// `to = from · factor`.
    fn scale_by(&mut self, from: &str, factor: f32, to: &str) {
        let name = self.add_constant(&format!("{to}#scale"), Constant::scalar(factor));
        self.nodes.push(node::make("Mul", &[from, &name], to));
    }

    fn add_constant(&mut self, name: &str, value: Constant) -> String {
        self.constants.insert(name.to_owned(), value.write(name));
        self.read.insert(name.to_owned(), value);
        name.to_owned()
    }

    /// The name of a float tensor that holds input `index` minus its zero point (input `zero`).
    fn shifted(&mut self, from: &NodeProto, index: usize, zero: Option<usize>) -> Result<String, BackboneError> {
        let name = node::input(from, index).ok_or_else(|| missing(from, index))?.to_owned();
        let zero_name = zero.and_then(|z| node::input(from, z)).map(str::to_owned);
        let key = (name.clone(), zero_name.clone().unwrap_or_default());
        if let Some(done) = self.shifted.get(&key) {
            return Ok(done.clone());
        }
        let made = format!("{name}#less:{}", key.1);
        let constant_zero = match &zero_name {
            Some(z) if !self.constants.contains_key(z) => None,
            _ => Some(match zero {
                Some(z) => self.constant_or_zero(from, z)?,
                None => Constant::scalar(0.0),
            }),
        };
        let result = if self.constants.contains_key(&name) {
            let mut values = self.constant_named(from, &name)?;
            let zeros = constant_zero.ok_or_else(|| refuse(from, "computes the zero point of a weight".to_owned()))?;
            // A weight's channels: the last axis of a matrix product, the first of a convolution.
            let axis = if from.op_type.contains("Conv") || node::int(from, "transB", 0) == 1 { 0 } else { -1 };
            values.along(&zeros, axis, |v, z| v - z).map_err(|e| refuse(from, e))?;
            self.add_constant(&made, values)
        } else {
            let held = self.known.activations.get(&name).map_or(0.0, |q| q.zero);
            let float = if self.known.activations.contains_key(&name) { name.clone() } else { self.cast(&name) };
            if let Some(zeros) = constant_zero {
                let [zero] = zeros.values[..] else {
                    return Err(refuse(from, "activation has several zero points".to_owned()));
                };
                #[expect(clippy::float_cmp, reason = "zero points are whole numbers")]
                if zero == held {
                    float
                } else {
                    let offset = self.add_constant(&format!("{made}#zero"), Constant::scalar(zero - held));
                    self.nodes.push(node::make("Sub", &[&float, &offset], &made));
                    made
                }
            } else {
                let zero = self.cast(zero_name.as_deref().unwrap_or_default());
                self.nodes.push(node::make("Sub", &[&float, &zero], &made));
                made
            }
        };
        self.shifted.insert(key, result.clone());
        Ok(result)
    }

    /// The name of `name` as f32.
    fn cast(&mut self, name: &str) -> String {
        let key = (name.to_owned(), "#float".to_owned());
        if let Some(done) = self.shifted.get(&key) {
            return done.clone();
        }
        let made = format!("{name}#float");
        let mut cast = node::make("Cast", &[name], &made);
        cast.attribute = vec![node::int_attribute("to", DataType::Float as i64)];
        self.nodes.push(cast);
        self.shifted.insert(key, made.clone());
        made
    }

    fn constant(&mut self, from: &NodeProto, index: usize) -> Result<Constant, BackboneError> {
        let name = node::input(from, index).ok_or_else(|| missing(from, index))?.to_owned();
        self.constant_named(from, &name)
    }

    fn constant_named(&mut self, from: &NodeProto, name: &str) -> Result<Constant, BackboneError> {
        if let Some(read) = self.read.get(name) {
            return Ok(read.clone());
        }
        let tensor = self
            .constants
            .get(name)
            .ok_or_else(|| refuse(from, format!("{name:?} is computed, but has to be a constant")))?;
        Constant::read(tensor)
    }

    fn constant_or_zero(&mut self, from: &NodeProto, index: usize) -> Result<Constant, BackboneError> {
        if node::input(from, index).is_some() { self.constant(from, index) } else { Ok(Constant::scalar(0.0)) }
    }

    /// Element type that the zero point at `index` fixes.
    fn kind(&self, from: &NodeProto, index: usize, default: DataType) -> Result<DataType, BackboneError> {
        let code = match node::input(from, index).and_then(|name| self.constants.get(name)) {
            Some(tensor) => tensor.data_type,
            None => match node::int(from, "output_dtype", 0) {
                0 => return Ok(default),
                code => i32::try_from(code).unwrap_or(-1),
            },
        };
        DataType::try_from(code).map_err(|_| refuse(from, format!("has the unknown type {code}")))
    }
}

fn refuse(from: &NodeProto, what: String) -> BackboneError {
    BackboneError::Unsupported { op: node::operator(from), node: node::label(from), what }
}

fn missing(from: &NodeProto, index: usize) -> BackboneError {
    refuse(from, format!("has no input {index}"))
}
