"""Measures a trained backbone the way the demo uses it: scores on drawn test parts and strangers, and heat maps.

    python probe.py --weights parts.pt --train data/train --test data/test --strangers data/strangers

Fits NECO (centred, 90 % of the variance), ViM's residual around the mean, and KNN on good training pictures, takes
thresholds for 1 % false alarms from half of the test pictures, and prints AUROC and detection for every stranger.
"""

import argparse
import csv
import pathlib

import numpy as np
import torch
from PIL import Image

from network import PartNet
from train import collapse, features, load, tensor


def auroc(good, strange):
    both = np.concatenate([good, strange])
    order = both.argsort(kind="stable")
    ranks = np.empty(len(both))
    ranks[order] = np.arange(1, len(both) + 1)
    return (ranks[: len(good)].sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(strange))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights", "train", "test", "strangers"):
        parser.add_argument("--" + name, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    saved = torch.load(arguments.weights, weights_only=True)
    classes = saved["model"]["head.weight"].shape[0]
    model = PartNet(classes, saved["model"]["head.weight"].shape[1])
    model.load_state_dict(saved["model"])
    model.eval()
    images, labels, names = load(arguments.train)
    products = len(names) - 1
    keep = labels < products
    h = features(model, images[keep])
    print("NC1, NC2 equinorm on training pictures:", *np.round(collapse(h, labels[keep], products), 4))
    mean = h.mean(0)
    values, vectors = np.linalg.eigh(np.cov(h.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    d = int((values.cumsum() < 0.9 * values.sum()).sum()) + 1
    print("d for 90 %:", d, "of", len(values))
    basis = vectors[:, :d]
    bank = h[np.random.default_rng(0).permutation(len(h))[:2048]]
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)

    def scores(h):
        z = h - mean
        norm = np.linalg.norm(z, axis=1)
        kept = np.linalg.norm(z @ basis, axis=1)
        unit = h / np.linalg.norm(h, axis=1, keepdims=True)
        distance = np.sqrt(np.maximum(2 - 2 * unit @ bank.T, 0))
        return {
            "neco": kept / norm,
            "residual": -np.sqrt(np.maximum(norm**2 - kept**2, 0)),
            "knn": -np.sort(distance, 1)[:, 9],
        }

    test, test_labels, _ = load_good(arguments.test, names)
    good = scores(features(model, test))
    half = np.random.default_rng(1).permutation(len(test))
    calibration, rest = half[: len(half) // 2], half[len(half) // 2:]

    def fused(s, parts):
        return sum((s[p] - good[p][calibration].mean()) / good[p][calibration].std() for p in parts)

    sums = {"neco": ["neco"], "knn": ["knn"], "residual": ["residual"], "neco+knn": ["neco", "knn"],
            "neco+residual": ["neco", "residual"], "neco+knn+residual": ["neco", "knn", "residual"]}
    threshold = {n: np.sort(fused(good, p)[calibration])[int(0.006 * len(calibration))] for n, p in sums.items()}
    print("false alarms on the other half:",
          {n: round(float((fused(good, p)[rest] < threshold[n]).mean()), 4) for n, p in sums.items()})
    boxes = {row["file"]: row for row in csv.DictReader(open(pathlib.Path(arguments.strangers) / "boxes.csv"))}
    total = {n: [] for n in sums}
    inside = flagged = 0
    for folder in sorted(pathlib.Path(arguments.strangers).glob("*/*")):
        files = sorted(folder.glob("*.png"))
        strange = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files])
        s = scores(features(model, strange))
        line = f"{folder.parent.name + '/' + folder.name:28}"
        for n, p in sums.items():
            f = fused(s, p)
            caught = f < threshold[n]
            total[n].append(caught.mean())
            line += f" {n} {auroc(fused(good, p)[rest], f):.3f}/{caught.mean():.2f}"
        print(line)
        if folder.parent.name == "defect":
            with torch.no_grad():
                maps = model.map(tensor(strange.astype(np.float32) / 255)).numpy()
            caught = fused(s, sums["neco+knn"]) < threshold["neco+knn"]
            for i, file in enumerate(files):
                row = boxes[f"defect/{folder.name}/{file.name}"]
                if not caught[i] or not row["x0"]:
                    continue
                z = maps[i].mean((1, 2)) - mean
                r = z - basis @ (basis.T @ z)
                heat = np.einsum("d,dij->ij", r, maps[i] - mean[:, None, None])
                y, x = np.unravel_index(heat.argmax(), heat.shape)
                cell = strange.shape[1] / heat.shape[0]
                px, py, margin = (x + 0.5) * cell, (y + 0.5) * cell, cell / 2
                box = [float(row[k]) for k in ("x0", "y0", "x1", "y1")]
                inside += box[0] - margin <= px <= box[2] + margin and box[1] - margin <= py <= box[3] + margin
                flagged += 1
    print("caught in all:", {n: round(float(np.mean(v)), 4) for n, v in total.items()})
    print(f"heat map's maximum inside the defect's box (half a cell of margin): {inside} of {flagged}")


def load_good(folder, names):
    images, labels, found = load_any(folder)
    return images, np.array([names.index(found[label]) for label in labels]), found


def load_any(folder):
    names = sorted(path.name for path in pathlib.Path(folder).iterdir() if path.is_dir())
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((pathlib.Path(folder) / name).glob("*.png")):
            images.append(np.asarray(Image.open(path).convert("RGB")))
            labels.append(label)
    return np.stack(images), labels, names


if __name__ == "__main__":
    main()
