"""Exports a torchvision classifier, with your weights or torchvision's, and prints the recipe that belongs to it.

    python export_torchvision.py --arch mobilenet_v3_small --weights mine.pt --classes 6 --out mine.onnx
    python export_torchvision.py --arch resnet18 --pretrained --out resnet18.onnx

`--weights` is a state dict saved with `torch.save(model.state_dict(), …)`. Without it and without `--pretrained` the
weights are random: good for nothing but trying the export.
"""

import argparse

import torch
import torchvision

from exporting import export, recipe


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", required=True, help="name of a torchvision classifier, as mobilenet_v3_small")
    parser.add_argument("--weights", help="state dict of your own training")
    parser.add_argument("--pretrained", action="store_true", help="torchvision's own weights (downloads them)")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--shorter-side", type=int, help="what the shorter side is resized to first [size · 256/224]")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    options = {"weights": "DEFAULT"} if arguments.pretrained else {"weights": None, "num_classes": arguments.classes}
    model = torchvision.models.get_model(arguments.arch, **options)
    if arguments.weights:
        model.load_state_dict(torch.load(arguments.weights, map_location="cpu", weights_only=True))
    shorter = arguments.shorter_side or arguments.size * 256 // 224
    export(model, arguments.size, arguments.out)
    print(recipe(arguments.size, shorter, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


if __name__ == "__main__":
    main()
