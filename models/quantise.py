"""Quantises a float ONNX classifier to int8 (static QDQ, weights per channel), calibrated on your own images.

    python quantise.py --model mine.onnx --images good/ --size 224 --shorter-side 256 \
        --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 --out mine_int8.onnx

Give the same preprocessing as the recipe that `fit` will get. A few hundred images are enough.
"""

import argparse
import pathlib
import tempfile

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


class Images(CalibrationDataReader):
    """Files of a folder, one at a time, through the recipe."""

    def __init__(self, files, name, prepare):
        self.rest = iter(files)
        self.name = name
        self.prepare = prepare

    def get_next(self):
        file = next(self.rest, None)
        return None if file is None else {self.name: self.prepare(Image.open(file).convert("RGB"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--shorter-side", type=int, help="resize the shorter side and cut the centre; else stretch")
    parser.add_argument("--mean", type=float, nargs=3, default=[0.0, 0.0, 0.0])
    parser.add_argument("--std", type=float, nargs=3, default=[1.0, 1.0, 1.0])
    parser.add_argument("--most", type=int, default=300, help="images used")
    parser.add_argument("--input", default="input", help="name of the input tensor")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    size = arguments.size

    def prepare(image):
        if arguments.shorter_side:
            scale = arguments.shorter_side / min(image.size)
            image = image.resize([max(size, int(side * scale)) for side in image.size], Image.BILINEAR)
            left, top = (image.width - size) // 2, (image.height - size) // 2
            image = image.crop((left, top, left + size, top + size))
        elif image.size != (size, size):
            image = image.resize((size, size), Image.BILINEAR)
        x = (np.asarray(image, np.float32) / 255 - np.float32(arguments.mean)) / np.float32(arguments.std)
        return x.transpose(2, 0, 1)[None]

    files = sorted(path for path in pathlib.Path(arguments.images).rglob("*") if path.suffix.lower() in ENDINGS)
    if not files:
        raise SystemExit(f"no image in {arguments.images}")
    files = [files[i] for i in np.random.default_rng(1).permutation(len(files))[: arguments.most]]
    with tempfile.TemporaryDirectory() as folder:
        ready = pathlib.Path(folder) / "ready.onnx"
        quant_pre_process(arguments.model, str(ready))
        quantize_static(
            str(ready), arguments.out, Images(files, arguments.input, prepare), quant_format=QuantFormat.QDQ,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )
    print(f"{arguments.out}: {pathlib.Path(arguments.out).stat().st_size} bytes from {len(files)} images")


if __name__ == "__main__":
    main()
