"""Made-up damage for training: teaches the backbone to see local change without showing it any of the demo's strangers.

Works on float arrays H×W×3 in 0..1. None of these is one of the demo's defects, objects or camera faults.
"""

import numpy as np


def part_mask(image):
    """Pixels that differ from the belt, whose colour is the median of the border."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.abs(image - np.median(border, 0)).sum(2) > 0.22


def blob(rng, size, x, y, reach):
    """A soft-edged ellipse, band or polygon around a point."""
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u = (xs - x) * np.cos(angle) + (ys - y) * np.sin(angle)
    v = (ys - y) * np.cos(angle) - (xs - x) * np.sin(angle)
    shape = rng.integers(3)
    if shape == 0:
        d = np.sqrt((u / reach) ** 2 + (v / (reach * rng.uniform(0.4, 1))) ** 2) - 1
    elif shape == 1:
        d = np.maximum(np.abs(u) / reach, np.abs(v) / (reach * rng.uniform(0.15, 0.8))) - 1
    else:
        d = np.abs(u) / reach + np.abs(v) / (reach * rng.uniform(0.4, 1)) - 1
    return np.clip(0.5 - d * reach / 1.2, 0, 1)


def smoothed(image, reach):
    """The mean over a square of `2·reach + 1` pixels."""
    side = 2 * reach + 1
    padded = np.pad(image, [(reach + 1, reach), (reach + 1, reach), (0, 0)], "edge").cumsum(0).cumsum(1)
    return (padded[side:, side:] - padded[:-side, side:] - padded[side:, :-side] + padded[:-side, :-side]) / side**2


def damage(image, other, rng):
    """A local change on the part, and its mask: a piece from elsewhere, of the belt, of flat colour, pushed
    aside, or smoothed away."""
    size = image.shape[0]
    ys, xs = np.nonzero(part_mask(image))
    if len(xs) == 0:
        ys, xs = np.array([size // 2]), np.array([size // 2])
    at = rng.integers(len(xs))
    reach = rng.uniform(0.03, 0.13) * size
    mask = blob(rng, size, xs[at] + rng.normal(0, 1.5), ys[at] + rng.normal(0, 1.5), reach)[..., None]
    kind = rng.choice(7, p=[0.12, 0.08, 0.3, 0.12, 0.12, 0.1, 0.16])
    if kind == 0:
        filling = np.roll(image, rng.integers(10, size - 10, 2), (0, 1))
    elif kind == 1:
        filling = other
    elif kind == 2:
        filling = np.median(np.concatenate([image[:3].reshape(-1, 3), image[-3:].reshape(-1, 3)]), 0) + rng.normal(
            0, 0.012, image.shape
        )
    elif kind == 3:
        filling = np.broadcast_to(rng.uniform(0, 1, 3), image.shape) + rng.normal(0, 0.03, image.shape)
    elif kind == 4:
        filling = np.clip(image * rng.uniform(0.25, 0.6) if rng.random() < 0.5 else image * rng.uniform(1.4, 2.2), 0, 1)
    elif kind == 5:
        step = rng.integers(2, 7) * rng.choice([-1, 1], 2)
        filling = np.roll(image, step, (0, 1))
    else:
        filling = smoothed(image, int(rng.integers(4, 9)))
    mask = mask * (rng.uniform(0.75, 1) if kind != 4 else 1)
    spoilt = np.clip(image * (1 - mask) + filling * mask, 0, 1)
    return spoilt, np.abs(spoilt - image).sum(2) > 0.15


def mess(image, other, rng):
    """A picture that is wrong as a whole: shuffled, mixed, squeezed, turned, mosaicked, recoloured."""
    size = image.shape[0]
    kind = rng.integers(7)
    if kind == 0:
        n = int(rng.integers(2, 5))
        side = size // n
        tiles = [image[r * side:(r + 1) * side, c * side:(c + 1) * side] for r in range(n) for c in range(n)]
        order = rng.permutation(n * n)
        rows = [np.concatenate([tiles[k] for k in order[r * n:(r + 1) * n]], 1) for r in range(n)]
        whole = np.concatenate(rows, 0)
        return np.pad(whole, [(0, size - whole.shape[0]), (0, size - whole.shape[1]), (0, 0)], "edge")
    if kind == 1:
        return np.maximum(image, np.roll(other, rng.integers(-18, 19, 2), (0, 1)))
    if kind == 2:
        cut = int(rng.uniform(0.3, 0.7) * size)
        return np.concatenate([image[:cut], other[cut:]], 0) if rng.random() < 0.5 else np.concatenate(
            [image[:, :cut], other[:, cut:]], 1
        )
    if kind == 3:
        factor = rng.uniform(0.45, 0.7)
        sx, sy = (factor, 1.0) if rng.random() < 0.5 else (1.0, factor)
        if rng.random() < 0.3:
            sx = sy = factor
        ys, xs = np.mgrid[0:size, 0:size]
        sample = lambda v, s: np.clip(((v - size / 2) / s + size / 2).round().astype(int), 0, size - 1)
        return image[sample(ys, sy), sample(xs, sx)]
    if kind == 4:
        n = int(rng.integers(4, 9))
        small = image[: size // n * n, : size // n * n].reshape(size // n, n, size // n, n, 3).mean((1, 3))
        big = small.repeat(n, 0).repeat(n, 1)
        return np.pad(big, [(0, size - big.shape[0]), (0, size - big.shape[1]), (0, 0)], "edge")
    if kind == 5:
        return image[..., rng.permutation([[1, 2, 0], [2, 0, 1], [2, 1, 0]])[0]]
    count = rng.integers(1, 4)
    out = image
    for _ in range(count):
        mask = blob(rng, size, *rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.1, 0.3) * size)[..., None]
        colour = rng.uniform(0.1, 1, 3) * rng.uniform(0.7, 1.1, image.shape[:1])[:, None, None]
        out = out * (1 - mask) + np.clip(colour, 0, 1) * mask
    return out
