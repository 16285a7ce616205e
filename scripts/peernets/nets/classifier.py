"""DCPT's degradation classifier on decoder features (class PromptIR_NoImg_DC)."""

import torch
from torch import nn

from .common import LayerNorm2d


class NormedConv(nn.Conv2d):
    """A convolution without bias, then a layer norm over the channels."""

    def __init__(self, channels, out, kernel):
        super().__init__(channels, out, kernel, padding=kernel // 2, bias=False)
        self.norm = LayerNorm2d(out)

    def forward(self, x):
        return self.norm(super().forward(x))


class Bottleneck(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1 = NormedConv(c, 2 * c, 1)
        self.conv2 = NormedConv(2 * c, 2 * c, 3)
        self.conv3 = NormedConv(2 * c, c, 1)

    def forward(self, x):
        y = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return (x + y).relu()


class Classifier(nn.Module):
    """features: one map (N, C, H, W) per level, each level of half the resolution, to logits (N, classes)."""

    def __init__(self, dims, blocks=2, classes=5):
        super().__init__()
        self.mixing_weights = nn.Parameter(torch.ones(len(dims)))

        def stage(channels):
            return nn.Sequential(*(Bottleneck(channels) for _ in range(blocks)))

        self.bottleneck_layers = nn.ModuleList(stage(c) for c in dims)
        after = list(dims[1:]) + [dims[-1]]
        self.downsample_layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, out, 1, bias=False), nn.MaxPool2d(2, 2), nn.ReLU())
            for c, out in zip(dims, after)
        )
        self.last_stage = stage(dims[-1])
        self.fc = nn.Linear(dims[-1], classes)

    def forward(self, features):
        weights = self.mixing_weights.softmax(0)
        x = 0
        for feature, weight, blocks, down in zip(features, weights, self.bottleneck_layers, self.downsample_layers):
            x = down(blocks(x + weight * feature))
        return self.fc(self.last_stage(x).mean((2, 3)))
