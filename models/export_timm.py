"""Exports a timm classifier, with your weights or timm's, and prints the recipe that belongs to it.

    python export_timm.py --arch mobilenetv3_small_100 --weights mine.pt --classes 6 --out mine.onnx
    python export_timm.py --arch resnet18 --pretrained --out resnet18.onnx

`--weights` is a state dict saved with `torch.save(model.state_dict(), …)`. Without it and without `--pretrained` the
weights are random: good for nothing but trying the export.
"""

import argparse

import timm
import torch

from exporting import export, recipe


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", required=True, help="name of a timm model, as mobilenetv3_small_100")
    parser.add_argument("--weights", help="state dict of your own training")
    parser.add_argument("--pretrained", action="store_true", help="timm's own weights (downloads them)")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    options = {} if arguments.pretrained else {"num_classes": arguments.classes}
    model = timm.create_model(arguments.arch, pretrained=arguments.pretrained, exportable=True, **options)
    if arguments.weights:
        model.load_state_dict(torch.load(arguments.weights, map_location="cpu", weights_only=True))
    config = timm.data.resolve_data_config({}, model=model)
    size = config["input_size"][-1]
    shorter = int(size / config["crop_pct"])
    export(model, size, arguments.out)
    print(recipe(size, shorter, config["interpolation"], config["mean"], config["std"]))


if __name__ == "__main__":
    main()
