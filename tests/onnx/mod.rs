//! Tiny ONNX models, built in place.
#![allow(dead_code, reason = "each test uses its own part")]

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Extent;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str], ints: &[(&str, &[i64])]) -> NodeProto {
    let attribute = ints
        .iter()
        .map(|&(name, values)| match values {
            [one] if !matches!(name, "axes" | "kernel_shape" | "perm") => {
                AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: *one, ..Default::default() }
            }
            _ => AttributeProto {
                name: name.into(),
                r#type: AttributeType::Ints as i32,
                ints: values.to_vec(),
                ..Default::default()
            },
        })
        .collect();
    NodeProto {
        op_type: op.into(),
        input: inputs.iter().map(|&i| i.into()).collect(),
        output: outputs.iter().map(|&o| o.into()).collect(),
        attribute,
        ..Default::default()
    }
}

pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.into(),
        data_type: DataType::Float as i32,
        float_data: values.into(),
        ..Default::default()
    }
}

pub(crate) fn integers(name: &str, kind: DataType, dims: &[i64], values: &[i64]) -> TensorProto {
    let mut tensor = TensorProto { name: name.into(), dims: dims.into(), data_type: kind as i32, ..Default::default() };
    if kind == DataType::Int64 {
        tensor.int64_data = values.into();
    } else {
        tensor.int32_data = values.iter().map(|&v| v as i32).collect();
    }
    tensor
}

/// An input: an extent of 0 is left open.
pub(crate) fn input(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|&d| Dimension {
            value: Some(if d == 0 { Extent::DimParam("n".into()) } else { Extent::DimValue(d) }),
            ..Default::default()
        })
        .collect();
    let tensor = Tensor { elem_type: kind as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}

pub(crate) fn model(
    inputs: Vec<ValueInfoProto>,
    outputs: &[&str],
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
) -> Vec<u8> {
    let graph = GraphProto {
        name: "graph".into(),
        node: nodes,
        initializer: initializers,
        input: inputs,
        output: outputs.iter().map(|&o| ValueInfoProto { name: o.into(), ..Default::default() }).collect(),
        ..Default::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![
            OperatorSetIdProto { domain: String::new(), version: 13 },
            OperatorSetIdProto { domain: "com.microsoft".into(), version: 1 },
        ],
        graph: Some(graph),
        ..Default::default()
    }
    .encode_to_vec()
}
