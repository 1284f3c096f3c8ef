"""The residual units of `models.units` in PyTorch: classes and layers have the same names.

A unit is a module `unit(channels, in_channels, stride=1)` that maps (N, in_channels, H, W) to (N, channels,
ceil(H / stride), ceil(W / stride)). What a unit is for and where it comes from is said in `models.units`.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

import torch
from torch import nn

from ..models.groups import group_count
from .layers import Activation, BatchNorm, Conv2D, relu


class PreActivationUnit(nn.Module):
    """Base of the units whose normalisation and ReLU come before each convolution; `unit_bases.PreActivationUnit`."""

    activated = False

    def add_shortcut(self, channels: int, in_channels: int, stride: int) -> None:
        """Create the 1x1 convolution of the activated input where channels or stride change."""
        self.projection: Any = None
        if channels != in_channels or stride != 1:
            self.projection = Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        """Map the activated input to the residual."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activated = relu(self.bn1(x))
        shortcut = x if self.projection is None else self.projection(activated)
        return self.branch(activated) + shortcut


class PostActivationUnit(nn.Module):
    """Base of the units whose last ReLU follows the sum; `unit_bases.PostActivationUnit`."""

    activated = True

    def add_shortcut(self, channels: int, in_channels: int, stride: int) -> None:
        """Create a 1x1 convolution and a normalisation where channels or stride change."""
        self.projection: Any = None
        if channels != in_channels or stride != 1:
            self.projection = Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)
            self.projection_bn = BatchNorm(in_channels=channels)

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        """Map the input to the residual."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.projection is None else self.projection_bn(self.projection(x))
        return relu(self.branch(x) + shortcut)


class Bottleneck(PreActivationUnit):
    """`units.Bottleneck`."""

    def __init__(self, channels: int, in_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = channels // 4
        self.bn1 = BatchNorm(in_channels=in_channels)
        self.conv1 = Conv2D(inner, 1, use_bias=False, in_channels=in_channels)
        self.bn2 = BatchNorm(in_channels=inner)
        self.conv2 = Conv2D(inner, 3, stride, 1, use_bias=False, in_channels=inner)
        self.bn3 = BatchNorm(in_channels=inner)
        self.conv3 = Conv2D(channels, 1, use_bias=False, in_channels=inner)
        self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last weight of the branch to 0."""
        nn.init.zeros_(self.conv3.weight)

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        y = relu(self.bn2(self.conv1(x)))
        y = relu(self.bn3(self.conv2(y)))
        return self.conv3(y)


class BasicUnit(PreActivationUnit):
    """`units.BasicUnit`."""

    def __init__(self, channels: int, in_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = BatchNorm(in_channels=in_channels)
        self.conv1 = Conv2D(channels, 3, stride, 1, use_bias=False, in_channels=in_channels)
        self.bn2 = BatchNorm(in_channels=channels)
        self.conv2 = Conv2D(channels, 3, 1, 1, use_bias=False, in_channels=channels)
        self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last weight of the branch to 0."""
        nn.init.zeros_(self.conv2.weight)

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(relu(self.bn2(self.conv1(x))))


class ResNeXtUnit(PostActivationUnit):
    """`units.ResNeXtUnit`."""

    def __init__(self, channels: int, in_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = channels // 2
        self.conv1 = Conv2D(inner, 1, use_bias=False, in_channels=in_channels)
        self.bn1 = BatchNorm(in_channels=inner)
        self.conv2 = Conv2D(inner, 3, stride, 1, groups=group_count(inner), use_bias=False, in_channels=inner)
        self.bn2 = BatchNorm(in_channels=inner)
        self.conv3 = Conv2D(channels, 1, use_bias=False, in_channels=inner)
        self.bn3 = BatchNorm(in_channels=channels)
        self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last gamma of the branch to 0."""
        nn.init.zeros_(self.bn3.weight)

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return self.bn3(self.conv3(y))


class InceptionUnit(PostActivationUnit):
    """`units.InceptionUnit`."""

    def __init__(self, channels: int, in_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.branch1 = _conv_sequence(inner, in_channels, (1,), stride)
        self.branch2 = _conv_sequence(inner, in_channels, (1, 3), stride)
        self.branch3 = _conv_sequence(inner, in_channels, (1, 3, 3), stride)
        self.conv = Conv2D(channels, 1, use_bias=False, in_channels=3 * inner)
        self.bn = BatchNorm(in_channels=channels)
        self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last gamma of the branch to 0."""
        nn.init.zeros_(self.bn.weight)

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(torch.cat((self.branch1(x), self.branch2(x), self.branch3(x)), dim=1)))


def unit_sequence(count: int, channels: int, unit: Callable[..., nn.Module]) -> nn.Sequential:
    """Return `count` units in a row, each with `channels` channels in and out."""
    return nn.Sequential(*(unit(channels, channels) for _ in range(count)))


def zero_init_residual(net: nn.Module) -> None:
    """Make each residual unit of a network start as its shortcut, as `--zero-gamma 1` does in MXNet."""
    for module in net.modules():
        if hasattr(module, "zero_init_branch"):
            module.zero_init_branch()


def _conv_sequence(channels: int, in_channels: int, kernels: Sequence[int], stride: int) -> nn.Sequential:
    """Return convolutions with BN and ReLU, one for each kernel size; the last has the stride."""
    layers = []
    for index, kernel in enumerate(kernels):
        step = stride if index == len(kernels) - 1 else 1
        layers += [
            Conv2D(channels, kernel, step, kernel // 2, use_bias=False, in_channels=in_channels),
            BatchNorm(in_channels=channels),
            Activation("relu"),
        ]
        in_channels = channels
    return nn.Sequential(*layers)
