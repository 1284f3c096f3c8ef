"""The layers of the networks in PyTorch, with the arguments of `mx.gluon.nn`: the stems of `models.stems` use them too.

Padding and rounding of poolings, epsilon and momentum are the same in both by default: MXNet's momentum 0.9 is the
share of the old statistics, PyTorch's 0.1 that of the new ones.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def relu(x: torch.Tensor) -> torch.Tensor:
    """Return ReLU of x, computed in place."""
    return F.relu(x, inplace=True)


def Conv2D(
    channels: int,
    kernel_size: int,
    strides: int = 1,
    padding: int = 0,
    groups: int = 1,
    use_bias: bool = True,
    in_channels: int = 0,
) -> nn.Conv2d:
    """Return a convolution."""
    return nn.Conv2d(in_channels, channels, kernel_size, strides, padding, groups=groups, bias=use_bias)


def Activation(activation: str) -> nn.Module:
    """Return the layer of an activation, which computes in place: 'relu'."""
    return {"relu": nn.ReLU}[activation](inplace=True)


def MaxPool2D(pool_size: int, strides: int, padding: int) -> nn.MaxPool2d:
    """Return a max pooling."""
    return nn.MaxPool2d(pool_size, strides, padding)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose running variance is that of MXNet on the CPU.

    MXNet averages the variance of the batches, the sum of squares divided by the number n of values of a channel.
    PyTorch's own layer divides by n - 1 there, which differs where the maps are small.

    Parameters
    ----------
    in_channels : int
        Number of channels.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.running_var is None:
            return super().forward(x)
        # A copy, since the tensor that `batch_norm` is given must not change before the backward pass.
        unbiased = self.running_var.clone()
        y = F.batch_norm(x, self.running_mean, unbiased, self.weight, self.bias, True, self.momentum, self.eps)
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_var.mul_((1 - self.momentum) / count).add_(unbiased, alpha=(count - 1) / count)
        return y
