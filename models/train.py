"""Trains the bundled backbone on pictures drawn by `examples/draw_parts.rs`.

    python train.py --data data/train --out parts.pt

Classes: the eight products, the bare belt, each product with made-up damage (damage.py), and messed-up pictures.
Runs past zero training error on the products, so that their features collapse. A second loss asks that what damage adds
to the feature comes from the cells of the map where the damage is. Prints NC1 and NC2 at the end.
"""

import argparse
import pathlib
import time

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from damage import damage, mess
from network import PartNet


def load(folder):
    names = sorted(path.name for path in pathlib.Path(folder).iterdir() if path.is_dir())
    names = [name for name in names if name != "_belt"] + ["_belt"]
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((pathlib.Path(folder) / name).glob("*.png")):
            images.append(np.asarray(Image.open(path).convert("RGB")))
            labels.append(label)
    return np.stack(images), np.array(labels), names


def varied(batch, rng):
    """Light and colour vary a little more than on the drawn line."""
    gain = rng.uniform(0.94, 1.06, (len(batch), 1, 1, 1)) * rng.uniform(0.98, 1.02, (len(batch), 1, 1, 3))
    return np.clip(batch * gain + rng.uniform(-0.012, 0.012, (len(batch), 1, 1, 1)), 0, 1)


def tensor(batch):
    x = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32))
    return ((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)


CELLS = 12


def batches(images, labels, products, size, rng):
    """Half good pictures, half made-up ones: damaged products get class `products + 1 + product`, messes the last.

    With them: which damaged picture was made from which good one, and in which cells of the map the damage lies.
    """
    order = rng.permutation(len(images))
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start:start + size]
        good = images[chosen].astype(np.float32) / 255
        other = images[rng.integers(len(images), size=size)].astype(np.float32) / 255
        label = labels[chosen]
        spoilt, spoilt_label, pairs, masks = [], [], [], []
        for i in range(size):
            if label[i] < products and rng.random() < 0.8:
                picture, mask = damage(good[i], other[i], rng)
                cells = mask.reshape(CELLS, mask.shape[0] // CELLS, CELLS, -1).mean((1, 3))
                if cells.max() < 0.06:
                    continue
                pairs.append((i, size + len(spoilt)))
                masks.append(cells >= min(0.12, cells.max()))
                spoilt.append(picture)
                spoilt_label.append(products + 1 + label[i])
            elif label[i] < products:
                spoilt.append(mess(good[i], other[i], rng))
                spoilt_label.append(2 * products + 1)
        batch = np.concatenate([good, np.stack(spoilt).astype(np.float32)])
        target = torch.from_numpy(np.concatenate([label, spoilt_label]).astype(np.int64))
        yield tensor(varied(batch, rng)), target, torch.tensor(pairs), torch.from_numpy(np.stack(masks))


def local_loss(maps, pairs, masks):
    """How much of `δᵀF_ij`, δ the change of the feature, lies outside the damaged cells: a softmax over the cells."""
    features = maps.mean((2, 3))
    change = functional.normalize(features[pairs[:, 1]] - features[pairs[:, 0]], dim=1)
    heat = torch.einsum("nd,ndij->nij", change, maps[pairs[:, 1]]).flatten(1)
    heat = 8 * heat / heat.abs().amax(1, keepdim=True).clamp_min(1e-6).detach()
    inside = heat.masked_fill(~masks.flatten(1), -1e9)
    return (heat.logsumexp(1) - inside.logsumexp(1)).mean()


def features(model, images):
    with torch.no_grad():
        return torch.cat(
            [model.feature(tensor(images[i:i + 200].astype(np.float32) / 255)) for i in range(0, len(images), 200)]
        ).numpy().astype(np.float64)


def collapse(h, labels, classes):
    """NC1 = tr(Σ_W Σ_B†)/C and NC2 equinorm, over the products."""
    means = np.stack([h[labels == c].mean(0) for c in range(classes)])
    centred = means - h[labels < classes].mean(0)
    within = sum((h[labels == c] - means[c]).T @ (h[labels == c] - means[c]) for c in range(classes))
    within /= (labels < classes).sum()
    between = centred.T @ centred / classes
    norms = np.linalg.norm(centred, axis=1)
    return np.trace(within @ np.linalg.pinv(between, rcond=1e-6)) / classes, norms.std() / norms.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of class folders, as draw_parts writes it")
    parser.add_argument("--out", default="parts.pt")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--local", type=float, default=0.08, help="weight of the second loss; 0 for none")
    parser.add_argument("--start", help="weights to go on from")
    parser.add_argument("--stop-after", type=int, help="end after this epoch, with the learning rate still high")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    images, labels, names = load(arguments.data)
    products = len(names) - 1
    model = PartNet(2 * products + 2).to(memory_format=torch.channels_last)
    if arguments.start:
        model.load_state_dict(torch.load(arguments.start, weights_only=True)["model"])
    steps = arguments.epochs * (len(images) // arguments.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=arguments.rate, weight_decay=arguments.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, arguments.rate, total_steps=steps, pct_start=0.15)
    start = time.time()
    for epoch in range(arguments.stop_after or arguments.epochs):
        model.train()
        loss_sum = local_sum = right = seen = good_wrong = 0
        for x, y, pairs, masks in batches(images, labels, products, arguments.batch, rng):
            maps = model.map(x)
            logits = model.head(maps.mean((2, 3)))
            local = local_loss(maps, pairs, masks)
            local_sum += local.item() * len(y)
            loss = functional.cross_entropy(logits, y) + arguments.local * local
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            hit = logits.argmax(1) == y
            loss_sum += loss.item() * len(y)
            right += hit.sum().item()
            good_wrong += (~hit & (y <= products)).sum().item()
            seen += len(y)
        print(
            f"epoch {epoch + 1}: loss {loss_sum / seen:.4f} (local {local_sum / seen:.3f}), accuracy {right / seen:.4f}, good pictures wrong "
            f"{good_wrong}, {time.time() - start:.0f} s",
            flush=True,
        )
        torch.save({"model": model.state_dict(), "names": names}, arguments.out)
    model.eval()
    h = features(model, images)
    logits = h @ model.head.weight.detach().numpy().T + model.head.bias.detach().numpy()
    wrong = (logits.argmax(1) != labels).sum()
    nc1, nc2 = collapse(h, labels, products)
    print(f"training error on the products and the belt: {wrong} of {len(labels)}; NC1 {nc1:.4f}, NC2 equinorm {nc2:.4f}")


if __name__ == "__main__":
    main()
