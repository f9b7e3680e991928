//! The image input as an ONNX file declares it.
//! Refuses anything but one float32 or uint8 tensor of rank 4.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Extent;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, TensorShapeProto};

use super::error::BackboneError;
use super::input_spec::{InputSpec, Layout, PixelType};
use super::tensor::{integers, volume};
use super::wiring::Wiring;

/// Most values an image may have (a 16384×16384 RGB image has three times as many).
const MAX_PIXELS: usize = 1 << 28;

impl InputSpec {
    /// Reads the declaration of the only input that is no weight.
    pub(super) fn read(graph: &GraphProto) -> Result<InputSpec, BackboneError> {
        let free = Wiring::inputs(graph);
        let [only] = free[..] else { return Err(BackboneError::Inputs(free.len())) };
        let input = &graph.input[only];
        let name = input.name.clone();
        let Some(Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            return Err(BackboneError::InputType { name, dtype: "no tensor".to_owned() });
        };
        let dtype = match DataType::try_from(tensor.elem_type) {
            Ok(DataType::Float) => PixelType::F32,
            Ok(DataType::Uint8) => PixelType::U8,
            Ok(other) => return Err(BackboneError::InputType { name, dtype: format!("{other:?}").to_lowercase() }),
            Err(_) => return Err(BackboneError::InputType { name, dtype: format!("number {}", tensor.elem_type) }),
        };
        let extents: Vec<Option<usize>> = tensor
            .shape
            .iter()
            .flat_map(|s| &s.dim)
            .map(|d| match d.value {
                Some(Extent::DimValue(v)) => usize::try_from(v).ok().filter(|&v| v > 0),
                _ => None,
            })
            .collect();
        let shape = <[Option<usize>; 4]>::try_from(extents).map_err(|e| BackboneError::InputShape {
            name: name.clone(),
            expected: format!("{} dimensions", e.len()),
            found: "4 (one image)".to_owned(),
        })?;
        let channels = |at: usize| matches!(shape[at], Some(1 | 3));
        let layout = match (channels(1), channels(3)) {
            (true, _) => Some(Layout::Nchw),
            (false, true) => Some(Layout::Nhwc),
            (false, false) => None,
        };
        Ok(InputSpec { name, shape, dtype, layout })
    }

    /// The shape of one image: what the file fixes, and what the caller gives for the rest.
    pub(super) fn pin(&self, given: Option<[usize; 4]>) -> Result<[usize; 4], BackboneError> {
        let mut pinned = [1; 4];
        for at in 1..4 {
            pinned[at] = match (self.shape[at], given.map(|g| g[at])) {
                (Some(fixed), Some(given)) if fixed != given => return Err(self.mismatch(given_text(given, at, self))),
                (Some(fixed), _) => fixed,
                (None, Some(given)) => given,
                (None, None) => {
                    return Err(BackboneError::OpenShape { name: self.name.clone(), shape: self.text() });
                }
            };
        }
        if given.is_some_and(|g| g[0] != 1) {
            return Err(self.mismatch("more than one image".to_owned()));
        }
        match volume(&pinned) {
            Some(1..=MAX_PIXELS) => Ok(pinned),
            _ => Err(BackboneError::TooLarge {
                name: self.name.clone(),
                elements: pinned.iter().map(|&d| d as u128).product(),
            }),
        }
    }

    fn mismatch(&self, found: String) -> BackboneError {
        BackboneError::InputShape { name: self.name.clone(), expected: self.text(), found }
    }
}

fn given_text(given: usize, at: usize, spec: &InputSpec) -> String {
    format!("{given} where {:?} is wanted (dimension {at})", spec.shape[at].unwrap_or(0))
}

/// Writes the pinned shape into the graph, and a batch of one into the shapes its nodes carry.
pub(super) fn write(graph: &mut GraphProto, spec: &InputSpec, pinned: [usize; 4]) {
    for input in graph.input.iter_mut().filter(|i| i.name == spec.name) {
        if let Some(Value::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            let dim = pinned
                .iter()
                .map(|&d| Dimension { value: Some(Extent::DimValue(d as i64)), ..Dimension::default() })
                .collect();
            tensor.shape = Some(TensorShapeProto { dim });
        }
    }
    let Some(batch @ 2..) = spec.shape[0] else { return };
    let shapes: Vec<String> = graph
        .node
        .iter()
        .filter(|n| matches!(n.op_type.as_str(), "Reshape" | "Expand"))
        .filter_map(|n| n.input.get(1).cloned())
        .collect();
    for tensor in graph.initializer.iter_mut().filter(|t| shapes.contains(&t.name)) {
        if let Some(mut extents) = integers(tensor)
            && extents.first() == Some(&(batch as i64))
        {
            extents[0] = 1;
            tensor.raw_data.clear();
            tensor.int32_data.clear();
            tensor.data_type = DataType::Int64 as i32;
            tensor.int64_data = extents;
        }
    }
}
