"""Residual units: what trunk, masks and tail are made of."""

from __future__ import annotations

from typing import Callable

from ..system.mxnet import mx

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn


def relu(F, x):
    """ReLU as `Activation`: unlike `F.relu` it is oneDNN's, and leaves the convolutions' layout as it is."""
    return F.Activation(x, act_type="relu")


class LayoutAnchor(HybridBlock):
    """The identity, and in a graph of mixed precision a mark: here the network's own type and layout resume.

    It is then a pooling of single points, for oneDNN's poolings come in bfloat16, and give gradients in the layout
    of what came in. Without it, an operator that knows neither (a product, a matrix product, MXNet's sum of
    gradients) leaves float32 in the plain layout to all that follows: half of the time of a step.

    Parameters
    ----------
    kind : {'avg', 'max'}
        The kind of pooling. Two of one kind on one array would be made one, and its buffer not be written over.
    """

    def __init__(self, kind="avg", **kwargs):
        super().__init__(**kwargs)
        self._kind = kind
        self.active = False

    def hybrid_forward(self, F, x):
        """Map an array (N, C, H, W) to itself."""
        return F.Pooling(x, kernel=(1, 1), stride=(1, 1), pool_type=self._kind) if self.active else x


class Bottleneck(HybridBlock):
    """Pre-activation bottleneck residual unit (He et al., arXiv 1603.05027; section 3.1 of the paper).

    BN-ReLU-conv1x1-BN-ReLU-conv3x3-BN-ReLU-conv1x1 plus the input. Where channels or stride change,
    the shortcut is a 1x1 convolution of the activated (BN-ReLU) input.

    Parameters
    ----------
    channels : int
        Channels of the output; the 3x3 convolution has a quarter of them.
    in_channels : int
        Channels of the input.
    stride : int
        Stride of the 3x3 convolution and of the shortcut.
    """

    def __init__(self, channels, in_channels, stride=1, **kwargs):
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

    def zero_init_branch(self):
        """Have the branch, once initialised, give 0: zero-initialised gamma (arXiv 1812.01187) for this kind of unit.

        Not by the gamma of `bn3`: the ReLU behind it would pass no gradient, so that it and all of the branch stayed
        as they are.
        """
        for weight in self.conv3.weight.list_data():
            weight[:] = 0

    def hybrid_forward(self, F, x):
        """Map (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        activated = relu(F, self.bn1(x))
        shortcut = self.projection(activated) if self.projection else x
        y = relu(F, self.bn2(self.conv1(activated)))
        y = relu(F, self.bn3(self.conv2(y)))
        return self.conv3(y) + shortcut


def unit_sequence(count: int, channels: int, unit: Callable[..., HybridBlock] = Bottleneck) -> HybridBlock:
    """Return `count` units in a row, each with `channels` channels in and out, as one HybridSequential."""
    units = nn.HybridSequential()
    with units.name_scope():
        for _ in range(count):
            units.add(unit(channels, channels))
    return units


def zero_init_residual(net):
    """Have each residual unit of an initialised network start as its shortcut."""
    net.apply(lambda block: block.zero_init_branch() if hasattr(block, "zero_init_branch") else None)
