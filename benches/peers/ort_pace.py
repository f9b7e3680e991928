"""`examples/pace.rs` for ONNX Runtime: the same arguments, lines and answers, in a process of its own.

    python ort_pace.py MODEL.onnx [--threads N] [--input FILE --feature TENSOR --logits TENSOR [--exact]]
"""

import argparse
import json
import sys
import time

import numpy as np
import onnx
import onnxruntime


def session(model, threads=1, exact=False):
    """A session on a file's path or bytes, with default optimisations or, where `exact`, with none."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def as_float(graph, tensor):
    """The name of the tensor's float form: its own, or that of a node that dequantises it."""
    readers = [node for node in graph.node if tensor in node.input]
    for node in readers:
        if node.op_type == "DequantizeLinear":
            return node.output[0]
    for node in readers:
        # Operators on integers take scale and zero point behind their operand.
        if node.op_type in ("QGemm", "QLinearMatMul"):
            at = list(node.input).index(tensor)
            name = f"{tensor}.float"
            graph.node.append(onnx.helper.make_node("DequantizeLinear", node.input[at : at + 3], [name]))
            return name
    return tensor


def with_outputs(path, tensors):
    """The file's bytes with exactly these outputs, as float."""
    model = onnx.load(path)
    names = [as_float(model.graph, tensor) for tensor in tensors]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    return model.SerializeToString()


def fixed_shape(given):
    """The input's shape with one image where the batch is free."""
    return [extent if isinstance(extent, int) else 1 for extent in given.shape]


def show(arguments):
    """One JSON line for each tensor in the file, as pace prints it."""
    model = with_outputs(arguments.model, [arguments.feature, arguments.logits])
    run = session(model, arguments.threads, arguments.exact)
    given = run.get_inputs()[0]
    for tensor in np.fromfile(arguments.input, "<f4").reshape(-1, *fixed_shape(given)):
        feature, logits = run.run(None, {given.name: tensor})
        print(json.dumps({"feature": feature.ravel().tolist(), "logits": logits.ravel().tolist()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--input", help="print feature and logits of the tensors in this file instead of run times")
    parser.add_argument("--feature", help="name of the feature's tensor")
    parser.add_argument("--logits", help="name of the logits' tensor")
    parser.add_argument("--exact", action="store_true", help="no graph optimisations: what the file says, in float")
    arguments = parser.parse_args()
    if arguments.input:
        return show(arguments)
    start = time.perf_counter_ns()
    run = session(arguments.model, arguments.threads)
    loading = time.perf_counter_ns() - start
    given = run.get_inputs()[0]
    # Bound tensors, so that Python's copies are not counted against the runtime.
    binding = run.io_binding()
    noise = np.random.default_rng(1).uniform(-2, 2, fixed_shape(given)).astype(np.float32)
    binding.bind_ortvalue_input(given.name, onnxruntime.OrtValue.ortvalue_from_numpy(noise))
    for output in run.get_outputs():
        binding.bind_output(output.name)
    print(json.dumps({"load_ms": loading / 1e6, "version": onnxruntime.__version__}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            run.run_with_iobinding(binding)
            times.append(time.perf_counter_ns() - start)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
