//! Older opsets raised to 13, the first in which QuantizeLinear knows channels.
//! Refuses operators whose meaning has changed since and that are not rewritten here.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

use super::error::Unquantisable;
use crate::backbone::node;
use crate::backbone::tensor::Constant;

/// The opset that is written at least.
const OPSET: i64 = 13;

/// The oldest that is read.
const OLDEST: i64 = 7;

/// Operators that mean the same in every opset from 7 to 13 (in inference).
const UNCHANGED: [&str; 46] = [
    "Abs",
    "Add",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Concat",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "ReduceMax",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "SpaceToDepth",
    "Sqrt",
    "Sub",
];

/// Likewise.
const ALSO_UNCHANGED: [&str; 4] = ["Softplus", "Tanh", "Transpose", "Where"];

/// Raises the model to opset 13 where it is older.
pub(super) fn raise(model: &mut ModelProto) -> Result<(), Unquantisable> {
    let own = |o: &&mut OperatorSetIdProto| matches!(o.domain.as_str(), "" | "ai.onnx");
    let Some(import) = model.opset_import.iter_mut().find(own) else {
        model.opset_import.push(OperatorSetIdProto { domain: String::new(), version: OPSET });
        return Ok(());
    };
    let opset = import.version;
    if opset >= OPSET {
        return Ok(());
    }
    import.version = OPSET;
    let Some(graph) = model.graph.as_mut() else { return Ok(()) };
    let mut made = Vec::new();
    for from in &mut graph.node {
        if opset < OLDEST || !rewrite(from, opset, &mut made) {
            return Err(Unquantisable::Opset { op: node::operator(from), node: node::label(from), opset });
        }
    }
    graph.initializer.extend(made);
    Ok(())
}

/// Rewrites a node for opset 13; says whether it could.
fn rewrite(from: &mut NodeProto, opset: i64, made: &mut Vec<TensorProto>) -> bool {
    let op = from.op_type.clone();
    match op.as_str() {
        op if UNCHANGED.contains(&op) || ALSO_UNCHANGED.contains(&op) => true,
        "Clip" if opset < 11 => {
            let bounds = [("min", f32::MIN), ("max", f32::MAX)];
            for (name, default) in bounds {
                let value = Constant::scalar(node::float(from, name, default));
                from.input.push(format!("{}_{name}", from.output[0]));
                made.push(value.write(from.input.last().map_or("", String::as_str)));
            }
            from.attribute.clear();
            true
        }
        "Pad" if opset < 11 => {
            let value = Constant::scalar(node::float(from, "value", 0.0));
            moved(from, "pads", made);
            from.input.push(format!("{}_value", from.output[0]));
            made.push(value.write(from.input.last().map_or("", String::as_str)));
            from.attribute.retain(|a| a.name != "value");
            true
        }
        "Slice" if opset < 10 => false,
        "Resize" | "Upsample" if opset < 11 => false,
        "Squeeze" | "Unsqueeze" | "ReduceSum" => {
            moved(from, "axes", made);
            true
        }
        "Split" => {
            moved(from, "split", made);
            true
        }
        // Over the class axis of class scores, the flattened and the single axis are the same.
        "Softmax" | "LogSoftmax" | "Hardmax" => {
            let axis = node::int(from, "axis", 1);
            from.attribute.retain(|a| a.name != "axis");
            from.attribute.push(node::int_attribute("axis", axis));
            axis == 1 || axis == -1
        }
        "Dropout" if opset >= 12 => true,
        "Clip" | "Pad" | "Slice" | "Resize" | "HardSwish" => true,
        _ => false,
    }
}

/// Makes an attribute of integers an input.
fn moved(from: &mut NodeProto, name: &str, made: &mut Vec<TensorProto>) {
    let Some(values) = node::ints(from, name).map(<[i64]>::to_vec) else { return };
    let input = format!("{}_{name}", from.output[0]);
    made.push(TensorProto {
        name: input.clone(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values,
        ..TensorProto::default()
    });
    from.input.push(input);
    from.attribute.retain(|a| a.name != name);
}
