"""Base classes of the residual units: where normalisation and ReLU stand, and what the shortcut is."""

from __future__ import annotations

from typing import Any

from ..machine.mxnet import mx
from .batch_norm import BatchNorm
from .layers import relu

nn = mx.gluon.nn


class PreActivationUnit(mx.gluon.HybridBlock):
    """Base of the pre-activation units (He et al., arXiv 1603.05027).

    A subclass creates `bn1`, the normalisation of the input, then its branch, and calls `add_shortcut` at last.

    Attributes
    ----------
    activated : bool
        Whether the output has passed a normalisation and a ReLU. If not, the network's tail ends with both.
    """

    activated = False

    def add_shortcut(self, channels: int, in_channels: int, stride: int) -> None:
        """Create the 1x1 convolution of the activated input where channels or stride change."""
        self.projection = None
        if channels != in_channels or stride != 1:
            self.projection = nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)

    def branch(self, F: Any, x: Any) -> Any:
        """Map the activated input (N, in_channels, H, W) to the residual."""
        raise NotImplementedError

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        activated = relu(F, self.bn1(x))
        shortcut = self.projection(activated) if self.projection else x
        return self.branch(F, activated) + shortcut


class PostActivationUnit(mx.gluon.HybridBlock):
    """Base of the post-activation units (He et al., arXiv 1512.03385): ReLU of the shortcut plus the branch.

    A subclass creates its branch, which ends with a normalisation, and calls `add_shortcut` at last.

    The normalisation of each projection brings the features, which the factors 1 + M of equation 3 have enlarged, back
    to one scale where a stage begins; the network therefore needs no normalisation before the pooling of its tail.

    Attributes
    ----------
    activated : bool
        As in `PreActivationUnit`.
    """

    activated = True

    def add_shortcut(self, channels: int, in_channels: int, stride: int) -> None:
        """Create a 1x1 convolution and a normalisation where channels or stride change."""
        self.projection = None
        if channels != in_channels or stride != 1:
            self.projection = nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)
            self.projection_bn = BatchNorm(in_channels=channels)

    def branch(self, F: Any, x: Any) -> Any:
        """Map the input (N, in_channels, H, W) to the residual."""
        raise NotImplementedError

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride)), not negative."""
        shortcut = self.projection_bn(self.projection(x)) if self.projection else x
        return relu(F, self.branch(F, x) + shortcut)
