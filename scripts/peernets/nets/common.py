"""Parts that several networks share."""

import torch
import torch.nn.functional as F
from torch import nn


def is_channels_last(x):
    """Does x (N, C, H, W) lie in memory with its channels innermost?"""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def to_channels_last(net):
    """Stores the convolutions' weights with channels innermost."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)


class ChannelNorm(torch.autograd.Function):
    """Layer norm over the channels of x (N, C, H, W) with its gradient in few passes.

    Automatic differentiation of the formula keeps and visits several more tensors of the size of x.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        mean = x.mean(1, keepdim=True)
        hat = x - mean
        rstd = hat.square().mean(1, keepdim=True).add_(eps).rsqrt_()
        hat.mul_(rstd)
        ctx.save_for_backward(hat, rstd, weight)
        return torch.addcmul(bias.view(1, -1, 1, 1), hat, weight.view(1, -1, 1, 1))

    @staticmethod
    def backward(ctx, grad):
        hat, rstd, weight = ctx.saved_tensors
        product = grad * hat
        grad_weight = product.sum((0, 2, 3))
        grad_bias = grad.sum((0, 2, 3))
        scaled = grad * weight.view(1, -1, 1, 1)
        along = torch.mul(scaled, hat, out=product).mean(1, keepdim=True)
        across = scaled.mean(1, keepdim=True)
        grad_x = scaled.sub_(across).addcmul_(hat, along, value=-1).mul_(rstd)
        return grad_x, grad_weight, grad_bias, None


class LayerNorm2d(nn.Module):
    """Layer norm over the channels at each pixel of x (N, C, H, W)."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x):
        if is_channels_last(x):
            rows = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
            return rows.permute(0, 3, 1, 2)
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return ChannelNorm.apply(x, self.weight, self.bias, self.eps)
        hat = x - x.mean(1, keepdim=True)
        hat = hat * torch.rsqrt(hat.square().mean(1, keepdim=True) + self.eps)
        return hat * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class BiasFreeNorm2d(nn.Module):
    """x / sqrt(variance over the channels + eps) * weight; the mean stays in x."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x):
        centred = x - x.mean(1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(1, keepdim=True) + self.eps)
        return x * scale * self.weight.view(1, -1, 1, 1)
