//! Constant tensors of an ONNX file, read as f32 and written back.
//! Refuses data that does not fill its dimensions, external data and float8.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use super::error::BackboneError;

/// A constant with its values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Constant {
    pub(super) fn scalar(value: f32) -> Constant {
        Constant { dims: vec![], values: vec![value] }
    }

    /// Reads any numeric tensor; integers beyond 2²⁴ are rounded to f32.
    pub(super) fn read(tensor: &TensorProto) -> Result<Constant, BackboneError> {
        let broken = |what: &str| BackboneError::Malformed(format!("initializer {:?} {what}", tensor.name));
        if tensor.data_location == Some(DataLocation::External as i32) {
            return Err(BackboneError::ExternalData(tensor.name.clone()));
        }
        let dims = dims(tensor)?;
        let count = volume(&dims).ok_or_else(|| broken("is too large"))?;
        let raw = &tensor.raw_data[..];
        let kind = DataType::try_from(tensor.data_type).map_err(|_| broken("has an unknown type"))?;
        let values: Vec<f32> = if raw.is_empty() {
            match kind {
                DataType::Float => tensor.float_data.clone(),
                DataType::Double => tensor.double_data.iter().map(|&v| v as f32).collect(),
                DataType::Int64 => tensor.int64_data.iter().map(|&v| v as f32).collect(),
                DataType::Uint32 | DataType::Uint64 => tensor.uint64_data.iter().map(|&v| v as f32).collect(),
                DataType::Int4 | DataType::Uint4 => {
                    let bytes: Vec<u8> = tensor.int32_data.iter().map(|&v| v as u8).collect();
                    nibbles(&bytes, kind == DataType::Int4, count)
                }
                DataType::Float16 => {
                    tensor.int32_data.iter().map(|&v| half::f16::from_bits(v as u16).to_f32()).collect()
                }
                DataType::Int8 => tensor.int32_data.iter().map(|&v| f32::from(v as i8)).collect(),
                DataType::Uint8 => tensor.int32_data.iter().map(|&v| f32::from(v as u8)).collect(),
                DataType::Int16 | DataType::Uint16 | DataType::Int32 | DataType::Bool => {
                    tensor.int32_data.iter().map(|&v| v as f32).collect()
                }
                _ => return Err(broken("has a type that cannot be read as numbers")),
            }
        } else {
            match kind {
                DataType::Float => words(raw).map(f32::from_le_bytes).collect(),
                DataType::Double => words(raw).map(|w| f64::from_le_bytes(w) as f32).collect(),
                DataType::Int64 => words(raw).map(|w| i64::from_le_bytes(w) as f32).collect(),
                DataType::Uint64 => words(raw).map(|w| u64::from_le_bytes(w) as f32).collect(),
                DataType::Int32 => words(raw).map(|w| i32::from_le_bytes(w) as f32).collect(),
                DataType::Uint32 => words(raw).map(|w| u32::from_le_bytes(w) as f32).collect(),
                DataType::Int16 => words(raw).map(|w| f32::from(i16::from_le_bytes(w))).collect(),
                DataType::Uint16 => words(raw).map(|w| f32::from(u16::from_le_bytes(w))).collect(),
                DataType::Float16 => words(raw).map(|w| half::f16::from_le_bytes(w).to_f32()).collect(),
                DataType::Bfloat16 => words(raw).map(|w| half::bf16::from_le_bytes(w).to_f32()).collect(),
                DataType::Int8 => raw.iter().map(|&b| f32::from(b.cast_signed())).collect(),
                DataType::Uint8 | DataType::Bool => raw.iter().map(|&b| f32::from(b)).collect(),
                DataType::Int4 | DataType::Uint4 => nibbles(raw, kind == DataType::Int4, count),
                _ => return Err(broken("has a type that cannot be read as numbers")),
            }
        };
        if values.len() != count {
            return Err(broken(&format!("holds {} values for dimensions {dims:?}", values.len())));
        }
        Ok(Constant { dims, values })
    }

    /// The f32 initializer of this constant.
    pub(super) fn write(&self, name: &str) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: self.dims.iter().map(|&d| d as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: self.values.clone(),
            ..TensorProto::default()
        }
    }

    /// Applies `f(value, parameter)` where `parameter` holds one value, or one per index of `axis`,
    /// or one per block of `block` along `axis` (then with this tensor's rank).
    pub(super) fn along(&mut self, parameter: &Constant, axis: i64, f: impl Fn(f32, f32) -> f32) -> Result<(), String> {
        if let [one] = parameter.values[..] {
            self.values.iter_mut().for_each(|v| *v = f(*v, one));
            return Ok(());
        }
        let rank = self.dims.len();
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        let extent = usize::try_from(axis)
            .ok()
            .and_then(|a| self.dims.get(a).copied())
            .ok_or_else(|| format!("quantisation axis {axis} of a tensor of rank {rank}"))?;
        let axis = axis as usize;
        let inner: usize = self.dims[axis + 1..].iter().product();
        let blocked = parameter.dims.len() == rank && rank > 1;
        let steps = if blocked { parameter.dims[axis] } else { parameter.values.len() };
        let fits = steps > 0
            && extent.is_multiple_of(steps)
            && (blocked || steps == extent)
            && (!blocked || parameter.values.len() == self.values.len() / extent * steps);
        if !fits {
            return Err(format!("{} quantisation parameters for {extent} channels", parameter.values.len()));
        }
        let block = extent / steps;
        for (i, v) in self.values.iter_mut().enumerate() {
            let (outer, channel, lane) = (i / inner / extent, i / inner % extent / block, i % inner);
            let at = if blocked { (outer * steps + channel) * inner + lane } else { channel };
            *v = f(*v, parameter.values[at]);
        }
        Ok(())
    }
}

/// Dimensions of an initializer as sizes.
pub(super) fn dims(tensor: &TensorProto) -> Result<Vec<usize>, BackboneError> {
    tensor
        .dims
        .iter()
        .map(|&d| {
            usize::try_from(d).map_err(|_| {
                BackboneError::Malformed(format!("initializer {:?} has a negative dimension", tensor.name))
            })
        })
        .collect()
}

/// Number of elements, where it fits.
pub(super) fn volume(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &d| product.checked_mul(d))
}

/// Integers of an initializer (shapes, axes, permutations), or `None` where it holds anything else.
pub(super) fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int64 if tensor.raw_data.is_empty() => Some(tensor.int64_data.clone()),
        DataType::Int64 => Some(words(&tensor.raw_data).map(i64::from_le_bytes).collect()),
        DataType::Int32 if tensor.raw_data.is_empty() => {
            Some(tensor.int32_data.iter().map(|&v| i64::from(v)).collect())
        }
        DataType::Int32 => Some(words(&tensor.raw_data).map(|w| i64::from(i32::from_le_bytes(w))).collect()),
        _ => None,
    }
}

fn words<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    raw.as_chunks::<N>().0.iter().copied()
}

fn nibbles(bytes: &[u8], signed: bool, count: usize) -> Vec<f32> {
    let mut values: Vec<f32> = bytes
        .iter()
        .flat_map(|&b| [b & 15, b >> 4])
        .map(|n| if signed && n > 7 { f32::from(n) - 16.0 } else { f32::from(n) })
        .collect();
    if values.len() == count + 1 {
        values.pop();
    }
    values
}
