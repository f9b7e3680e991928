"""Pictures without any download: smooth random scenes from fixed seeds."""

import cv2
import numpy as np

MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])


def scene(seed, width, height):
    """A picture of soft patches with finer ones over them and a little noise, height×width×3, uint8."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 0.5, np.float32)
    for cells, strength in ((3, 0.35), (9, 0.2), (40, 0.12)):
        patches = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    picture += rng.normal(0, 0.02, picture.shape).astype(np.float32)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def tensor(seed, size):
    """A scene as ImageNet classifiers take it: 1×3×size×size, float32."""
    return np.ascontiguousarray(((scene(seed, size, size) / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)[None])
