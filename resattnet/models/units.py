"""Residual units, which make up the trunk, the masks and the tail: the classes that `spec.UNITS` names.

A unit is a block `unit(channels, in_channels, stride=1)` that maps (N, in_channels, H, W) to (N, channels,
ceil(H / stride), ceil(W / stride)), for any numbers of channels. Its class derives from one of two bases:

- `PreActivationUnit`: batch normalisation and ReLU come before each convolution; the output is a plain sum.
- `PostActivationUnit`: batch normalisation and ReLU come after each convolution; the last ReLU follows the sum.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

from ..machine.mxnet import mx
from .batch_norm import BatchNorm
from .layers import relu
from .unit_bases import PostActivationUnit, PreActivationUnit

nn = mx.gluon.nn


class Bottleneck(PreActivationUnit):
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
            self.bn1 = BatchNorm(in_channels=in_channels)
            self.conv1 = nn.Conv2D(inner, 1, use_bias=False, in_channels=in_channels)
            self.bn2 = BatchNorm(in_channels=inner)
            self.conv2 = nn.Conv2D(inner, 3, stride, 1, use_bias=False, in_channels=inner)
            self.bn3 = BatchNorm(in_channels=inner)
            self.conv3 = nn.Conv2D(channels, 1, use_bias=False, in_channels=inner)
            self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last weight of the initialised branch to 0, so that the unit starts as its shortcut.

        This has the effect of a zero-initialised gamma (arXiv 1812.01187), which does not fit a pre-activation unit:
        the ReLU after `bn3` has no gradient at 0, so a gamma of 0 would stop the whole branch from learning.
        """
        _set_to_zero(self.conv3.weight)

    def branch(self, F: Any, x: Any) -> Any:
        """Map the activated input (N, in_channels, H, W) to the residual."""
        y = relu(F, self.bn2(self.conv1(x)))
        y = relu(F, self.bn3(self.conv2(y)))
        return self.conv3(y)


class BasicUnit(PreActivationUnit):
    """Pre-activation unit of two 3x3 convolutions (He et al., arXiv 1603.05027), for small networks.

    The branch is BN-ReLU-conv3x3-BN-ReLU-conv3x3; the shortcut is that of `Bottleneck`. Both convolutions have all
    channels: the unit has 18 C^2 weights, a bottleneck about C^2.

    Parameters
    ----------
    channels, in_channels : int
        Channels of the output and the input.
    stride : int
        Stride of the first 3x3 convolution and of the shortcut.
    """

    def __init__(self, channels: int, in_channels: int, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.bn1 = BatchNorm(in_channels=in_channels)
            self.conv1 = nn.Conv2D(channels, 3, stride, 1, use_bias=False, in_channels=in_channels)
            self.bn2 = BatchNorm(in_channels=channels)
            self.conv2 = nn.Conv2D(channels, 3, 1, 1, use_bias=False, in_channels=channels)
            self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last weight of the initialised branch to 0, for the reason that `Bottleneck` has."""
        _set_to_zero(self.conv2.weight)

    def branch(self, F: Any, x: Any) -> Any:
        """Map the activated input (N, in_channels, H, W) to the residual."""
        return self.conv2(relu(F, self.bn2(self.conv1(x))))


class ResNeXtUnit(PostActivationUnit):
    """ResNeXt unit (Xie et al., arXiv 1611.05431) of AttentionNeXt (section 4.2 of the paper), post-activation.

    The branch is conv1x1-BN-ReLU-grouped conv3x3-BN-ReLU-conv1x1-BN; the shortcut is the input. Where channels or
    stride change, the shortcut is a 1x1 convolution and a normalisation.

    Parameters
    ----------
    channels : int
        Channels of the output; the 3x3 convolution has half of that number, twice that of a bottleneck. It has
        `group_count` groups: 32 in all stages at full widths for ImageNet.
    in_channels : int
        Channels of the input.
    stride : int
        Stride of the 3x3 convolution and of the shortcut.
    """

    def __init__(self, channels: int, in_channels: int, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        inner = channels // 2
        with self.name_scope():
            self.conv1 = nn.Conv2D(inner, 1, use_bias=False, in_channels=in_channels)
            self.bn1 = BatchNorm(in_channels=inner)
            self.conv2 = nn.Conv2D(inner, 3, stride, 1, groups=group_count(inner), use_bias=False, in_channels=inner)
            self.bn2 = BatchNorm(in_channels=inner)
            self.conv3 = nn.Conv2D(channels, 1, use_bias=False, in_channels=inner)
            self.bn3 = BatchNorm(in_channels=channels)
            self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last gamma of the initialised branch to 0 (arXiv 1812.01187): the unit starts as its shortcut."""
        _set_to_zero(self.bn3.gamma)

    def branch(self, F: Any, x: Any) -> Any:
        """Map the input (N, in_channels, H, W) to the residual."""
        y = relu(F, self.bn1(self.conv1(x)))
        y = relu(F, self.bn2(self.conv2(y)))
        return self.bn3(self.conv3(y))


class InceptionUnit(PostActivationUnit):
    """Inception-ResNet unit (Szegedy et al., arXiv 1602.07261) of AttentionInception, post-activation.

    The paper names Inception-ResNet units and gives no layers of theirs. This unit is Inception-ResNet-A (figure 10
    of arXiv 1602.07261), whose 3x3 kernels fit the small maps of the masks, unlike the 1x7 kernels of B: three
    branches conv1x1; conv1x1-conv3x3; conv1x1-conv3x3-conv3x3, each convolution with BN and ReLU, concatenated; then a
    linear conv1x1; ReLU after the sum. Three things differ from that figure:

    - Each branch has an eighth of the unit's channels, at any number of channels. Inception-ResNet-v1 has 32 of 256.
    - A normalisation follows the linear convolution, in place of that article's scaling of residuals by 0.1 to 0.3:
      both keep the sums of many units small, and a gamma can be trained, or start at 0 (`zero_init_branch`).
    - A unit with a stride takes the place of the article's reduction blocks. The last convolution of each branch has
      the stride; the shortcut is a 1x1 convolution and a normalisation, as in `ResNeXtUnit`.

    Parameters
    ----------
    channels, in_channels : int
        Channels of the output and the input.
    stride : int
        Stride of the last convolution of each branch and of the shortcut.
    """

    def __init__(self, channels: int, in_channels: int, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        inner = max(1, channels // 8)
        with self.name_scope():
            self.branch1 = _conv_sequence(inner, in_channels, (1,), stride)
            self.branch2 = _conv_sequence(inner, in_channels, (1, 3), stride)
            self.branch3 = _conv_sequence(inner, in_channels, (1, 3, 3), stride)
            self.conv = nn.Conv2D(channels, 1, use_bias=False, in_channels=3 * inner)
            self.bn = BatchNorm(in_channels=channels)
            self.add_shortcut(channels, in_channels, stride)

    def zero_init_branch(self) -> None:
        """Set the last gamma of the initialised branch to 0 (arXiv 1812.01187): the unit starts as its shortcut."""
        _set_to_zero(self.bn.gamma)

    def branch(self, F: Any, x: Any) -> Any:
        """Map the input (N, in_channels, H, W) to the residual."""
        return self.bn(self.conv(F.concat(self.branch1(x), self.branch2(x), self.branch3(x), dim=1)))


def group_count(channels: int) -> int:
    """Return the number of groups of a grouped convolution: 32, and fewer where a group would have under 4 channels.

    A ResNeXt for ImageNet has 32 groups of 4 channels and more (arXiv 1611.05431, table 1). Narrow networks keep the 4
    channels; the groups are the largest number up to 32 that divides the channels.

    Parameters
    ----------
    channels : int
        Channels in and out of the convolution.
    """
    return max(groups for groups in range(1, 33) if channels % groups == 0 and (groups == 1 or channels >= 4 * groups))


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


def _conv_sequence(channels: int, in_channels: int, kernels: Sequence[int], stride: int) -> Any:
    """Return convolutions with BN and ReLU, one for each kernel size; the last has the stride."""
    layers = nn.HybridSequential()
    with layers.name_scope():
        for index, kernel in enumerate(kernels):
            step = stride if index == len(kernels) - 1 else 1
            layers.add(
                nn.Conv2D(channels, kernel, step, kernel // 2, use_bias=False, in_channels=in_channels),
                BatchNorm(in_channels=channels),
                nn.Activation("relu"),
            )
            in_channels = channels
    return layers


def _set_to_zero(parameter: Any) -> None:
    """Set an initialised parameter to 0 on all its devices."""
    for array in parameter.list_data():
        array[:] = 0
