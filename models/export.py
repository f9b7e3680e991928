"""Writes the trained backbone as ONNX: the float twin, and int8 (static QDQ, per channel) calibrated on training pictures.

    python export.py --weights parts.pt --data data/train --out .
"""

import argparse
import pathlib

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from network import PartNet
from train import load, tensor


class Pictures(CalibrationDataReader):
    """Some training pictures, one at a time."""

    def __init__(self, images):
        self.rest = iter([{"input": tensor(image[None].astype(np.float32) / 255).numpy()} for image in images])

    def get_next(self):
        return next(self.rest, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default=".")
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out)
    saved = torch.load(arguments.weights, weights_only=True)
    classes, width = saved["model"]["head.weight"].shape
    model = PartNet(classes, width)
    model.load_state_dict(saved["model"])
    model.eval()
    float_path, int8_path, ready = out / "parts.onnx", out / "parts_int8.onnx", out / "parts_ready.onnx"
    torch.onnx.export(
        model, torch.zeros(1, 3, 96, 96), str(float_path), input_names=["input"], output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
    )
    quant_pre_process(str(float_path), str(ready))
    images, _, _ = load(arguments.data)
    chosen = images[np.random.default_rng(1).permutation(len(images))[:256]]
    quantize_static(
        str(ready), str(int8_path), Pictures(chosen), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
    )
    ready.unlink()
    for path in (float_path, int8_path):
        network = onnx.load(path)
        network.producer_name = "shelfwatch models/export.py"
        onnx.save(network, path)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
