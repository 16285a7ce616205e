"""SwinIR in the form DCPT trains: no position bias and no mask for shifted windows."""

import torch
import torch.nn.functional as F
from torch import nn


class WindowAttention(nn.Module):
    """Self-attention inside windows; x (N, H, W, C)."""

    def __init__(self, dim, heads, window, shift):
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        n, height, width, c = x.shape
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        w = self.window
        x = x.view(n, height // w, w, width // w, w, c).transpose(2, 3).reshape(-1, w * w, c)
        q, k, v = self.qkv(x).view(-1, w * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind()
        x = F.scaled_dot_product_attention(q, k, v)
        x = self.proj(x.transpose(1, 2).reshape(-1, w * w, c))
        x = x.view(n, height // w, width // w, w, w, c).transpose(2, 3).reshape(n, height, width, c)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, window, shift, mlp_ratio):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window, shift)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Group(nn.Module):
    """Blocks in a row under the name `blocks`, every second one with shifted windows."""

    def __init__(self, dim, depth, heads, window, mlp_ratio):
        super().__init__()
        self.blocks = nn.Sequential(
            *(Block(dim, heads, window, window // 2 * (i % 2), mlp_ratio) for i in range(depth))
        )

    def forward(self, x):
        return self.blocks(x)


class Layer(nn.Module):
    """A group, a 3x3 convolution and the layer's input again; x (N, H, W, C)."""

    def __init__(self, *args):
        super().__init__()
        self.residual_group = Group(*args)
        self.conv = nn.Conv2d(args[0], args[0], 3, padding=1)

    def forward(self, x):
        y = self.conv(self.residual_group(x).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1) + x


class TokenNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.norm(x)


class SwinIR(nn.Module):
    """Input and output (N, 3, H, W), H and W multiples of the window."""

    def __init__(self, dim=180, depths=(6,) * 6, heads=(6,) * 6, window=8, mlp_ratio=2.0):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.patch_embed = TokenNorm(dim)
        layers = [Layer(dim, depth, count, window, mlp_ratio) for depth, count in zip(depths, heads)]
        half = len(layers) // 2
        self.encode_layers = nn.ModuleList(layers[:half])
        self.decoders = len(layers) - half
        for i, layer in enumerate(layers[half:]):
            self.add_module(f"decode_layers{i}", layer)
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_last = nn.Conv2d(dim, 3, 3, padding=1)

    def forward(self, image):
        image = image - self.mean
        first = self.conv_first(image)
        x = self.patch_embed(first.permute(0, 2, 3, 1))
        for layer in self.encode_layers:
            x = layer(x)
        for i in range(self.decoders):
            x = getattr(self, f"decode_layers{i}")(x)
        x = self.conv_after_body(self.norm(x).permute(0, 3, 1, 2)) + first
        return image + self.conv_last(x) + self.mean
