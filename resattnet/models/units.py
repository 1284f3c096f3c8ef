"""Residual units, which make up the trunk, the masks and the tail; and `LayoutAnchor`."""

from __future__ import annotations

from typing import Any, Callable

from ..system.mxnet import mx

nn = mx.gluon.nn


def relu(F: Any, x: Any) -> Any:
    """Return ReLU of x by `Activation`: unlike `F.relu`, it is a oneDNN operator and keeps the convolutions' layout."""
    return F.Activation(x, act_type="relu")


class LayoutAnchor(mx.gluon.HybridBlock):
    """The identity, which in a graph of mixed precision restores the network's data type and memory layout.

    An operator that supports neither bfloat16 nor oneDNN's blocked layout (a product, a matrix product, MXNet's sum
    of gradients) makes everything after it compute in float32 and in the plain layout, which doubles the time of a
    training step. An active anchor is a pooling with a 1x1 kernel: oneDNN's poolings exist in bfloat16, and return
    gradients in the layout of their input. An inactive anchor adds nothing to the graph.

    Parameters
    ----------
    kind : {'avg', 'max'}
        The kind of pooling. MXNet merges two poolings of one kind on the same array, and then cannot reuse the memory
        of the result. Two anchors on one array are therefore given different kinds.

    Attributes
    ----------
    active : bool
        Set by `precision.to_bfloat16` while it composes the graph.
    """

    def __init__(self, kind: str = "avg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kind = kind
        self.active = False

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return an array (N, C, H, W) as it is."""
        return F.Pooling(x, kernel=(1, 1), stride=(1, 1), pool_type=self._kind) if self.active else x


class Bottleneck(mx.gluon.HybridBlock):
    """Pre-activation bottleneck residual unit (He et al., arXiv 1603.05027; section 3.1 of the paper).

    The branch is BN-ReLU-conv1x1-BN-ReLU-conv3x3-BN-ReLU-conv1x1; the shortcut is the input. Where channels or
    stride change, the shortcut is a 1x1 convolution of the activated (BN-ReLU) input.

    Parameters
    ----------
    channels : int
        Channels of the output; the 3x3 convolution has a quarter of that number.
    in_channels : int
        Channels of the input.
    stride : int
        Stride of the 3x3 convolution and of the shortcut.
    """

    def __init__(self, channels: int, in_channels: int, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        inner = channels // 4
        with self.name_scope():
            self.bn1 = nn.BatchNorm(in_channels=in_channels)
            self.conv1 = nn.Conv2D(inner, 1, use_bias=False, in_channels=in_channels)
            self.bn2 = nn.BatchNorm(in_channels=inner)
            self.conv2 = nn.Conv2D(inner, 3, stride, 1, use_bias=False, in_channels=inner)
            self.bn3 = nn.BatchNorm(in_channels=inner)
            self.conv3 = nn.Conv2D(channels, 1, use_bias=False, in_channels=inner)
            self.projection = None
            if channels != in_channels or stride != 1:
                self.projection = nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)

    def zero_init_branch(self) -> None:
        """Set the last weight of the initialised branch to 0, so that the unit starts as its shortcut.

        This has the effect of a zero-initialised gamma (arXiv 1812.01187), which does not fit a pre-activation unit:
        the ReLU after `bn3` has no gradient at 0, so a gamma of 0 would stop the whole branch from learning.
        """
        for weight in self.conv3.weight.list_data():
            weight[:] = 0

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        activated = relu(F, self.bn1(x))
        shortcut = self.projection(activated) if self.projection else x
        y = relu(F, self.bn2(self.conv1(activated)))
        y = relu(F, self.bn3(self.conv2(y)))
        return self.conv3(y) + shortcut


def unit_sequence(count: int, channels: int, unit: Callable[..., Any] = Bottleneck) -> Any:
    """Return `count` units in a row, each with `channels` channels in and out, as one HybridSequential."""
    units = nn.HybridSequential()
    with units.name_scope():
        for _ in range(count):
            units.add(unit(channels, channels))
    return units


def zero_init_residual(net: Any) -> None:
    """Make each residual unit of an initialised network start as its shortcut, by its `zero_init_branch`."""
    net.apply(lambda block: block.zero_init_branch() if hasattr(block, "zero_init_branch") else None)
