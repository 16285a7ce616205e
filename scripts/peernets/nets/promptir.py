"""PromptIR: Restormer's blocks with softmax, and learned prompts in the decoder."""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from .common import LayerNorm2d, is_channels_last
from .restormer import Block, PatchEmbed, downsample, upsample


class Prompt(nn.Module):
    """A mixture of learned images, weighted by what x (N, C, H, W) holds on average."""

    def __init__(self, channels, size, inputs, components=5):
        super().__init__()
        self.prompt_param = nn.Parameter(torch.rand(1, components, channels, size, size))
        self.linear_layer = nn.Linear(inputs, components)
        self.conv3x3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        weights = self.linear_layer(x.mean((2, 3))).softmax(1)
        components, channels, height, width = self.prompt_param.shape[1:]
        prompt = weights @ self.prompt_param.view(components, -1)
        prompt = prompt.view(-1, channels, height, width)
        if is_channels_last(x):
            prompt = prompt.contiguous(memory_format=torch.channels_last)
        prompt = F.interpolate(prompt, x.shape[2:], mode="bilinear", align_corners=False)
        return self.conv3x3(prompt)


class PromptIR(nn.Module):
    """Input and output (N, 3, H, W), H and W multiples of 8. prompts and sizes from level 1 on."""

    def __init__(self, dim=48, blocks=(4, 6, 6, 8), refinement=4, heads=(1, 2, 4, 8), expansion=2.66,
                 bias=False, prompts=(64, 128, 320), sizes=(64, 32, 16)):
        super().__init__()
        norm = functools.partial(LayerNorm2d, eps=1e-5)

        def block(channels, heads):
            return Block(channels, heads, expansion, bias, norm, "softmax")

        def stage(channels, count, heads):
            return nn.Sequential(*(block(channels, heads) for _ in range(count)))

        def conv1(channels, out):
            return nn.Conv2d(channels, out, 1, bias=bias)

        self.patch_embed = PatchEmbed(dim)
        self.encoder_level1 = stage(dim, blocks[0], heads[0])
        self.down1_2 = downsample(dim)
        self.encoder_level2 = stage(2 * dim, blocks[1], heads[1])
        self.down2_3 = downsample(2 * dim)
        self.encoder_level3 = stage(4 * dim, blocks[2], heads[2])
        self.down3_4 = downsample(4 * dim)
        self.latent = stage(8 * dim, blocks[3], heads[3])

        self.prompt3 = Prompt(prompts[2], sizes[2], 8 * dim)
        self.noise_level3 = block(8 * dim + prompts[2], heads[2])
        self.reduce_noise_level3 = conv1(8 * dim + prompts[2], 4 * dim)
        self.up4_3 = upsample(4 * dim)
        self.reduce_chan_level3 = conv1(6 * dim, 4 * dim)
        self.decoder_level3 = stage(4 * dim, blocks[2], heads[2])

        self.prompt2 = Prompt(prompts[1], sizes[1], 4 * dim)
        self.noise_level2 = block(4 * dim + prompts[1], heads[2])
        self.reduce_noise_level2 = conv1(4 * dim + prompts[1], 4 * dim)
        self.up3_2 = upsample(4 * dim)
        self.reduce_chan_level2 = conv1(4 * dim, 2 * dim)
        self.decoder_level2 = stage(2 * dim, blocks[1], heads[1])

        self.prompt1 = Prompt(prompts[0], sizes[0], 2 * dim)
        self.noise_level1 = block(2 * dim + prompts[0], heads[2])
        self.reduce_noise_level1 = conv1(2 * dim + prompts[0], 2 * dim)
        self.up2_1 = upsample(2 * dim)
        self.decoder_level1 = stage(2 * dim, blocks[0], heads[0])
        self.refinement = stage(2 * dim, refinement, heads[0])
        self.output = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=bias)

    def forward(self, image):
        e1 = self.encoder_level1(self.patch_embed(image))
        e2 = self.encoder_level2(self.down1_2(e1))
        e3 = self.encoder_level3(self.down2_3(e2))
        x = self.latent(self.down3_4(e3))
        x = self.reduce_noise_level3(self.noise_level3(torch.cat([x, self.prompt3(x)], 1)))
        x = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(x), e3], 1)))
        x = self.reduce_noise_level2(self.noise_level2(torch.cat([x, self.prompt2(x)], 1)))
        x = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(x), e2], 1)))
        x = self.reduce_noise_level1(self.noise_level1(torch.cat([x, self.prompt1(x)], 1)))
        x = self.decoder_level1(torch.cat([self.up2_1(x), e1], 1))
        return self.output(self.refinement(x)) + image
