"""How far ONNX Runtime's float arithmetic of a QDQ model lies from exact arithmetic, convolution by convolution.

    python ties.py --model mobilenetv2_int8_qdq.onnx --inputs parity_inputs.npy

Runs the model with graph optimisations off, takes the integers that go into each convolution, and computes the integers
that come out in float64. Where they differ, the exact result lies next to the middle between two integers, and the order
in which floats are added decides. Inputs are an array of preprocessed images, float32 [N, C, H, W].
"""

import argparse

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper


def integers(model, inputs):
    """What each QuantizeLinear puts out, by name."""
    names = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    shown = onnx.ModelProto.FromString(model.SerializeToString())
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options)
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: inputs})))


def convolve(image, weights, bias, attributes):
    groups, (stride, _) = attributes.get("group", 1), attributes.get("strides", [1, 1])
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    image = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(image, weights.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    planes, kernels = np.split(windows, groups, axis=1), np.split(weights, groups)
    parts = [np.tensordot(p, k, axes=([1, 4, 5], [1, 2, 3])) for p, k in zip(planes, kernels)]
    return np.concatenate(parts, axis=3).transpose(0, 3, 1, 2) + bias.reshape(1, -1, 1, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--inputs", required=True)
    arguments = parser.parse_args()
    model = onnx.load(arguments.model)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node}
    known = constants | integers(model, np.load(arguments.inputs))

    def exact(name):
        """The real numbers that a DequantizeLinear stands for."""
        node = made_by[name]
        values, scale = known[node.input[0]].astype(np.float64), constants[node.input[1]].astype(np.float64)
        zero = constants[node.input[2]].astype(np.float64)
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        shape = [1] * values.ndim
        if scale.size > 1:
            shape[axis] = -1
        return (values - zero.reshape(shape)) * scale.reshape(shape) if values.ndim else (values - zero) * scale

    count = differ = 0
    farthest = largest = 0.0
    for node in model.graph.node:
        conv = made_by.get(node.input[0])
        if node.op_type != "QuantizeLinear" or conv is None or conv.op_type != "Conv":
            continue
        attributes = {one.name: helper.get_attribute_value(one) for one in conv.attribute}
        image, weights, bias = (exact(name) for name in conv.input)
        real = convolve(image, weights, bias, attributes) / np.float64(constants[node.input[1]])
        zero = constants[node.input[2]]
        limits = np.iinfo(zero.dtype)
        wanted = np.clip(np.rint(real) + int(zero), limits.min, limits.max)
        wrong = wanted != known[node.output[0]]
        count, differ = count + wrong.size, differ + int(wrong.sum())
        if wrong.any():
            from_tie = np.abs(np.abs(real[wrong] - np.floor(real[wrong])) - 0.5)
            farthest = max(farthest, from_tie.max())
            largest = max(largest, np.abs(wanted - known[node.output[0]]).max())
    near = f"their exact values lie within {farthest:.1e} of the middle between two integers"
    print(f"{differ} of {count} integers differ, by {largest:.0f} at most; {near}")


if __name__ == "__main__":
    main()
