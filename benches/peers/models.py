"""Builds well-known classifiers with drawn weights and quantises them: `python models.py --out DIR [--only NAME]`.

What a network costs depends on its layers, not on what it has learned. Weights are drawn (He) from a fixed seed and
scaled so that every layer gives each of its channels a mean of about 0 and a deviation of about 1, as batch norm does
once it is folded into the weights; without that, rounding to int8 would have nothing to round.
"""

import argparse
import pathlib
import tempfile
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import scenes

SIZE = 224
CLASSES = 1000
OPSET = 17
SAMPLES = 4  # scenes that the weights are scaled by
BRANCH = 0.3  # what a block adds to its input; more, and networks of drawn weights enlarge every rounding
CALIBRATION = 32  # scenes that the int8 ranges are taken from
onnxruntime.set_default_logger_severity(3)


def eighths(value):
    """The multiple of 8 that the MobileNet papers round a number of channels to."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


class Graph:
    """A network that grows node by node; every tensor's values on the samples are at hand."""

    def __init__(self, name):
        self.name = name
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes = []
        self.weights = {}
        self.values = {"input": np.concatenate([scenes.tensor(seed, SIZE) for seed in range(SAMPLES)])}

    def channels(self, tensor):
        return self.values[tensor].shape[1]

    def evaluate(self, node):
        """The node's output on the samples."""
        given = {name: self.values.get(name, self.weights.get(name)) for name in node.input}
        graph = helper.make_graph(
            [node], "node",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in given.items()],
            [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)],
        )
        session = onnxruntime.InferenceSession(pack(graph).SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, given)[0]

    def add(self, kind, inputs, weights=(), output=None, **attributes):
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        names = [f"{output}.{i}" for i in range(len(weights))]
        self.weights.update(zip(names, weights))
        node = helper.make_node(kind, [*inputs, *names], [output], name=output, **attributes)
        self.values[output] = self.evaluate(node)
        self.nodes.append(node)
        return output

    def weighted(self, kind, tensor, shape, output=None, gain=1.0, **attributes):
        """A Conv or Gemm of drawn weights, scaled by what it gives on the samples."""
        fan_in = int(np.prod(shape[1:]))
        weight = self.rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        bias = np.zeros(shape[0], np.float32)
        output = self.add(kind, [tensor], [weight, bias], output, **attributes)
        given = self.values[output]
        axes = (0, 2, 3) if given.ndim == 4 else (0,)
        # Four vectors tell too little about one of their numbers, and so does a pooled map: one scale for all then.
        few = given.size // given.shape[1] < 64
        mean = np.zeros_like(bias) if few else given.mean(axes)
        deviation = np.full_like(bias, given.std()) if few else given.std(axes)
        deviation = np.maximum(deviation, 1e-3) / np.float32(gain)
        drawn = self.rng.normal(0, 0.2 * gain, bias.shape).astype(np.float32)
        self.weights[f"{output}.0"] = weight / deviation.reshape(-1, *[1] * (weight.ndim - 1))
        self.weights[f"{output}.1"] = drawn - mean / deviation
        self.values[output] = self.evaluate(self.nodes[-1])
        return output

    def conv(self, tensor, out, kernel, stride=1, groups=1, gain=1.0):
        shape = (out, self.channels(tensor) // groups, kernel, kernel)
        return self.weighted(
            "Conv", tensor, shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4,
            group=groups, gain=gain,
        )

    def depthwise(self, tensor, kernel, stride):
        return self.conv(tensor, self.channels(tensor), kernel, stride, self.channels(tensor))

    def relu(self, tensor):
        return self.add("Relu", [tensor])

    def relu6(self, tensor):
        return self.add("Clip", [tensor], [np.array(0, np.float32), np.array(6, np.float32)])

    def hard_swish(self, tensor):
        return self.add("HardSwish", [tensor])

    def squeeze(self, tensor):
        """Squeeze-and-excitation: each channel times a weight that the pooled channels give."""
        channels = self.channels(tensor)
        pooled = self.add("GlobalAveragePool", [tensor])
        small = self.relu(self.conv(pooled, eighths(channels / 4), 1))
        gate = self.add("HardSigmoid", [self.conv(small, channels, 1)], alpha=1 / 6, beta=0.5)
        return self.add("Mul", [tensor, gate])

    def inverted(self, tensor, inner, out, kernel, stride, activation, squeeze=False):
        """MobileNetV2's block: widen, filter each channel, narrow, and add where the shape is kept."""
        x = tensor
        if inner != self.channels(tensor):
            x = activation(self.conv(x, inner, 1))
        x = activation(self.depthwise(x, kernel, stride))
        kept = stride == 1 and out == self.channels(tensor)
        x = self.conv(self.squeeze(x) if squeeze else x, out, 1, gain=BRANCH if kept else 1.0)
        return self.add("Add", [tensor, x]) if kept else x

    def head(self, tensor, hidden=None):
        """Pooling, a hidden layer where the network has one, and the logits."""
        x = self.add("Flatten", [self.add("GlobalAveragePool", [tensor])])
        if hidden:
            x = self.hard_swish(self.weighted("Gemm", x, (hidden, self.channels(x)), transB=1))
        self.weighted("Gemm", x, (CLASSES, self.channels(x)), "logits", transB=1)
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
            [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in self.weights.items()],
        )
        return pack(graph)


def pack(graph):
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def mobilenetv1(g):
    x = g.relu6(g.conv("input", 32, 3, 2))
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for out, stride in blocks:
        x = g.relu6(g.conv(g.relu6(g.depthwise(x, 3, stride)), out, 1))
    return g.head(x)


def stages(g, x, rows):
    """Rows of widening, kernel, stride of the first block, blocks, channels."""
    for widen, kernel, stride, blocks, out in rows:
        for block in range(blocks):
            x = g.inverted(x, widen * g.channels(x), out, kernel, 1 if block else stride, g.relu6)
    return g.head(g.relu6(g.conv(x, 1280, 1)))


def mobilenetv2(g):
    rows = [
        (1, 3, 1, 1, 16), (6, 3, 2, 2, 24), (6, 3, 2, 3, 32), (6, 3, 2, 4, 64), (6, 3, 1, 3, 96), (6, 3, 2, 3, 160),
        (6, 3, 1, 1, 320),
    ]
    return stages(g, g.relu6(g.conv("input", 32, 3, 2)), rows)


def efficientnet_lite0(g):
    rows = [
        (1, 3, 1, 1, 16), (6, 3, 2, 2, 24), (6, 5, 2, 2, 40), (6, 3, 2, 3, 80), (6, 5, 1, 3, 112), (6, 5, 2, 4, 192),
        (6, 3, 1, 1, 320),
    ]
    return stages(g, g.relu6(g.conv("input", 32, 3, 2)), rows)


def mobilenetv3_large(g):
    relu, swish = g.relu, g.hard_swish
    rows = [
        (3, 16, 16, 1, relu, False), (3, 64, 24, 2, relu, False), (3, 72, 24, 1, relu, False),
        (5, 72, 40, 2, relu, True), (5, 120, 40, 1, relu, True), (5, 120, 40, 1, relu, True),
        (3, 240, 80, 2, swish, False), (3, 200, 80, 1, swish, False), (3, 184, 80, 1, swish, False),
        (3, 184, 80, 1, swish, False), (3, 480, 112, 1, swish, True), (3, 672, 112, 1, swish, True),
        (5, 672, 160, 2, swish, True), (5, 960, 160, 1, swish, True), (5, 960, 160, 1, swish, True),
    ]
    x = swish(g.conv("input", 16, 3, 2))
    for kernel, inner, out, stride, activation, squeeze in rows:
        x = g.inverted(x, inner, out, kernel, stride, activation, squeeze)
    return g.head(swish(g.conv(x, 960, 1)), hidden=1280)


def resnet18(g):
    x = g.relu(g.conv("input", 64, 7, 2))
    x = g.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for out, stride in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]:
        y = g.conv(g.relu(g.conv(x, out, 3, stride)), out, 3, gain=BRANCH)
        x = g.relu(g.add("Add", [y, x if out == g.channels(x) else g.conv(x, out, 1, stride)]))
    return g.head(x)


NETWORKS = {f.__name__: f for f in (mobilenetv2, mobilenetv1, resnet18, efficientnet_lite0, mobilenetv3_large)}


class Scenes(CalibrationDataReader):
    """Scenes that the weights were not scaled by."""

    def __init__(self):
        self.rest = iter(range(1000, 1000 + CALIBRATION))

    def get_next(self):
        seed = next(self.rest, None)
        return None if seed is None else {"input": scenes.tensor(seed, SIZE)}


def quantise(source, target):
    """ONNX Runtime's static quantiser: QDQ, int8 activations, int8 weights per channel, full range."""
    with tempfile.TemporaryDirectory() as folder:
        ready = pathlib.Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready), str(target), Scenes(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=False,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )


def build(folder, only=None):
    """Writes what is not there yet; the files, int8 after float."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, network in NETWORKS.items():
        float32, int8 = folder / f"{name}.onnx", folder / f"{name}_int8.onnx"
        files += [float32, int8]
        if only and only not in int8.stem:
            continue
        if not float32.exists():
            model = network(Graph(name))
            onnx.checker.check_model(model, full_check=True)
            float32.write_bytes(model.SerializeToString())
        if not int8.exists():
            part = int8.with_suffix(".part")
            quantise(float32, part)
            part.rename(int8)
            print(f"{name}: {float32.stat().st_size} bytes float, {int8.stat().st_size} bytes int8", flush=True)
    return [file for file in files if file.exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder for the ONNX files")
    parser.add_argument("--only", help="networks with this in their name")
    arguments = parser.parse_args()
    build(arguments.out, arguments.only)


if __name__ == "__main__":
    main()
