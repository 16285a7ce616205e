"""NAFNet in the form DCPT trains (class NAFNetBaseline)."""

import torch
from torch import nn

from .common import LayerNorm2d


class NAFBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1 = LayerNorm2d(c)
        self.conv1 = nn.Conv2d(c, 2 * c, 1)
        self.conv2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1))
        self.conv3 = nn.Conv2d(c, c, 1)
        self.norm2 = LayerNorm2d(c)
        self.conv4 = nn.Conv2d(c, 2 * c, 1)
        self.conv5 = nn.Conv2d(c, c, 1)
        self.beta = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, c, 1, 1))

    @staticmethod
    def gate(x):
        first, second = x.chunk(2, dim=1)
        return first * second

    def forward(self, x):
        y = self.gate(self.conv2(self.conv1(self.norm1(x))))
        y = self.conv3(y * self.sca(y))
        x = torch.addcmul(x, y, self.beta)
        y = self.conv5(self.gate(self.conv4(self.norm2(x))))
        return torch.addcmul(x, y, self.gamma)


class NAFNet(nn.Module):
    """Input and output (N, 3, H, W), H and W multiples of 2^levels."""

    def __init__(self, width, enc, middle, dec):
        super().__init__()
        self.intro = nn.Conv2d(3, width, 3, padding=1)
        self.encoders, self.downs, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        c = width
        for count in enc:
            self.encoders.append(nn.Sequential(*(NAFBlock(c) for _ in range(count))))
            self.downs.append(nn.Conv2d(c, 2 * c, 2, stride=2))
            c *= 2
        self.middle_blks = nn.Sequential(*(NAFBlock(c) for _ in range(middle)))
        self.levels = len(dec)
        for i, count in enumerate(dec):
            self.ups.append(nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2)))
            c //= 2
            self.add_module(f"decoder{i}", nn.Sequential(*(NAFBlock(c) for _ in range(count))))
        self.ending = nn.Conv2d(width, 3, 3, padding=1)

    def decode(self, image):
        """The last decoder's output and the output of each decoder block, the last one first."""
        x = self.intro(image)
        skips = []
        for blocks, down in zip(self.encoders, self.downs):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.middle_blks(x)
        features = []
        for i, up in enumerate(self.ups):
            x = up(x) + skips.pop()
            for block in getattr(self, f"decoder{i}"):
                x = block(x)
                features.append(x)
        return x, features[::-1]

    def features(self, image):
        return self.decode(image)[1]

    def forward(self, image):
        return self.ending(self.decode(image)[0]) + image
