"""Restormer in the form DCPT trains: attention over channels ends in a ReLU."""

import torch
import torch.nn.functional as F
from torch import nn

from .common import BiasFreeNorm2d, LayerNorm2d


class NormBody(nn.Module):
    """The norm under the name `body`, as the checkpoints have it."""

    def __init__(self, norm):
        super().__init__()
        self.body = norm

    def forward(self, x):
        return self.body(x)


class ChannelAttention(nn.Module):
    """Attention between the channels of each head; activation is "relu" or "softmax"."""

    def __init__(self, dim, heads, bias, activation):
        super().__init__()
        self.heads = heads
        self.activation = activation
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=bias)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=bias)

    def forward(self, x):
        height, width = x.shape[2:]
        q, k, v = (
            part.flatten(2).unflatten(1, (self.heads, -1)) for part in self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        )
        weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        weights = weights.relu() if self.activation == "relu" else weights.softmax(-1)
        return self.project_out((weights @ v).flatten(1, 2).unflatten(2, (height, width)))


class FeedForward(nn.Module):
    def __init__(self, dim, expansion, bias):
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=bias)

    def forward(self, x):
        first, second = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(first) * second)


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)); norm makes one for a count of channels."""

    def __init__(self, dim, heads, expansion, bias, norm, activation):
        super().__init__()
        self.norm1 = NormBody(norm(dim))
        self.attn = ChannelAttention(dim, heads, bias, activation)
        self.norm2 = NormBody(norm(dim))
        self.ffn = FeedForward(dim, expansion, bias)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class Resample(nn.Module):
    """3x3 convolution and pixel (un)shuffle, under the name `body`."""

    def __init__(self, channels, out, shuffle):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), shuffle)

    def forward(self, x):
        return self.body(x)


def downsample(n):
    return Resample(n, n // 2, nn.PixelUnshuffle(2))


def upsample(n):
    return Resample(n, 2 * n, nn.PixelShuffle(2))


class PatchEmbed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 3, padding=1, bias=False)

    def forward(self, x):
        return self.proj(x)


class Body(nn.Module):
    """Blocks in a row under the name `body`."""

    def __init__(self, blocks):
        super().__init__()
        self.body = nn.Sequential(*blocks)

    def forward(self, x):
        return self.body(x)


class Restormer(nn.Module):
    """Input and output (N, 3, H, W), H and W multiples of 8."""

    def __init__(self, dim=48, blocks=(4, 6, 6, 8), refinement=4, heads=(1, 2, 4, 8), expansion=2.66,
                 bias=False, bias_free=True):
        super().__init__()
        norm = BiasFreeNorm2d if bias_free else LayerNorm2d

        def stage(channels, count, heads):
            return Body(Block(channels, heads, expansion, False, norm, "relu") for _ in range(count))

        self.patch_embed = PatchEmbed(dim)
        self.encoder_level1 = stage(dim, blocks[0], heads[0])
        self.down1_2 = downsample(dim)
        self.encoder_level2 = stage(2 * dim, blocks[1], heads[1])
        self.down2_3 = downsample(2 * dim)
        self.encoder_level3 = stage(4 * dim, blocks[2], heads[2])
        self.down3_4 = downsample(4 * dim)
        self.latent = stage(8 * dim, blocks[3], heads[3])
        self.up4_3 = upsample(8 * dim)
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=bias)
        self.decoder_level3 = stage(4 * dim, blocks[2], heads[2])
        self.up3_2 = upsample(4 * dim)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=bias)
        self.decoder_level2 = stage(2 * dim, blocks[1], heads[1])
        self.up2_1 = upsample(2 * dim)
        self.decoder_level1 = stage(2 * dim, blocks[0], heads[0])
        self.refinement = stage(2 * dim, refinement, heads[0])
        self.output = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=bias)

    def forward(self, image):
        e1 = self.encoder_level1(self.patch_embed(image))
        e2 = self.encoder_level2(self.down1_2(e1))
        e3 = self.encoder_level3(self.down2_3(e2))
        x = self.latent(self.down3_4(e3))
        x = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(x), e3], 1)))
        x = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(x), e2], 1)))
        x = self.decoder_level1(torch.cat([self.up2_1(x), e1], 1))
        return self.output(self.refinement(x)) + image
