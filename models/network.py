"""The bundled backbone: a small depthwise CNN whose feature is the mean of its last map."""

import torch
from torch import nn


def conv(cin, cout, kernel=3, stride=1, groups=1):
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
    )


class Block(nn.Module):
    """Depthwise 3×3 and pointwise 1×1, with a shortcut where the shape stays."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.depthwise = conv(cin, cin, 3, stride, groups=cin)
        self.pointwise = conv(cin, cout, 1)
        self.short = stride == 1 and cin == cout

    def forward(self, x):
        y = self.pointwise(self.depthwise(x))
        return x + y if self.short else y


class PartNet(nn.Module):
    """96×96 RGB to a 12×12 map of 160 channels, its mean (the feature), and one linear layer."""

    def __init__(self, classes, width=160):
        super().__init__()
        self.map = nn.Sequential(
            conv(3, 24, 3, 2),
            Block(24, 48),
            Block(48, 64, 2),
            Block(64, 64),
            Block(64, 128, 2),
            Block(128, 128),
            Block(128, 128),
            conv(128, width, 1),
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.feature(x))

    def feature(self, x):
        return self.map(x).mean((2, 3))
