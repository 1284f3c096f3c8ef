"""The attention module of `models.attention` in PyTorch: classes and layers have the same names."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

import torch
from torch import nn
from torch.nn import functional as F

from ..models.attention_types import EPSILON
from .layers import BatchNorm, Conv2D, MaxPool2D, relu
from .units import unit_sequence

Unit = Callable[..., nn.Module]  # `unit(channels, in_channels, stride=1)`


def channel_attention(x: torch.Tensor) -> torch.Tensor:
    """Return x divided by its norm over the channels: `attention_types.channel_attention`."""
    return x / torch.sqrt(x.square().sum(1, keepdim=True) + EPSILON)


def spatial_attention(x: torch.Tensor) -> torch.Tensor:
    """Return the sigmoid of each channel's map, normalised: `attention_types.spatial_attention`."""
    centred = x - x.mean((2, 3), keepdim=True)
    return torch.sigmoid(centred / torch.sqrt(centred.square().mean((2, 3), keepdim=True) + EPSILON))


ATTENTION: Dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mixed": torch.sigmoid,
    "channel": channel_attention,
    "spatial": spatial_attention,
}


class Hourglass(nn.Module):
    """`attention.Hourglass`: `levels` times down, then up again to the input's size."""

    def __init__(self, channels: int, levels: int, r: int, sampling: bool, unit: Unit) -> None:
        super().__init__()
        self.pool = MaxPool2D(3, 2, 1) if sampling else None
        self.down = unit_sequence(r, channels, unit)
        self.skip: Any = None
        self.inner: Any = None
        if levels > 1:
            self.skip = unit_sequence(1, channels, unit)
            self.inner = Hourglass(channels, levels - 1, r, sampling, unit)
        self.up = unit_sequence(r, channels, unit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, channels, H, W) to the same shape, for any H and W."""
        y = self.down(x if self.pool is None else self.pool(x))
        if self.inner is not None:
            y = self.skip(y) + self.inner(y)
        y = self.up(y)
        return y if self.pool is None else F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=True)


class SoftMask(nn.Module):
    """`attention.SoftMask`: an hourglass, two 1x1 convolutions and the attention type."""

    def __init__(self, channels: int, levels: int, r: int, attention: str, sampling: bool, unit: Unit) -> None:
        super().__init__()
        self._attention = ATTENTION[attention]
        self.hourglass = Hourglass(channels, levels, r, sampling, unit)
        self.bn1 = BatchNorm(in_channels=channels)
        self.conv1 = Conv2D(channels, 1, use_bias=False, in_channels=channels)
        self.bn2 = BatchNorm(in_channels=channels)
        self.conv2 = Conv2D(channels, 1, use_bias=False, in_channels=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, channels, H, W) to a mask of the same shape."""
        y = self.conv1(relu(self.bn1(self.hourglass(x))))
        return self._attention(self.conv2(relu(self.bn2(y))))


class AttentionModule(nn.Module):
    """`attention.AttentionModule`: `p` units, the trunk weighted by the soft mask, `p` units."""

    def __init__(
        self,
        channels: int,
        levels: int,
        p: int,
        t: int,
        r: int,
        learning: str,
        attention: str,
        mask: str,
        unit: Unit,
    ) -> None:
        super().__init__()
        self._residual = learning == "arl"
        self.first = unit_sequence(p, channels, unit)
        self.trunk = unit_sequence(t, channels, unit)
        self.mask: Any = None
        if mask != "none":
            self.mask = SoftMask(channels, levels, r, attention, mask == "hourglass", unit)
        self.last = unit_sequence(p, channels, unit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, channels, H, W) to the same shape."""
        return self.with_mask(x)[0]

    def with_mask(self, x: torch.Tensor) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
        """Return the output and the soft mask, both (N, channels, H, W); the mask is None where there is none."""
        x = self.first(x)
        trunk = self.trunk(x)
        if self.mask is None:
            return self.last(trunk), None
        mask = self.mask(x)
        return self.last((1 + mask) * trunk if self._residual else mask * trunk), mask
