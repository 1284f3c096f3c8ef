"""The attention module: a trunk of residual units, weighted by a soft mask (section 3 of the paper)."""

from __future__ import annotations

from typing import Any, Callable

from ..machine.mxnet import mx
from .attention_types import ATTENTION
from .batch_norm import BatchNorm
from .layers import LayoutAnchor, relu
from .spec import check_variant
from .units import Bottleneck, unit_sequence

nn = mx.gluon.nn
Unit = Callable[..., Any]  # `unit(channels, in_channels, stride=1)`


class Interpolation(mx.gluon.HybridBlock):
    """Bilinear interpolation with aligned corners to the size of another map, as two matrix products.

    MXNet's own `BilinearResize2D` is 2 to 7 times slower on these maps, backward included, and with two threads its
    gradients differ from run to run. Other formats have that operator but not these products, so an export sets
    `as_operator`.

    Attributes
    ----------
    as_operator : bool
        Whether a composed symbol has `BilinearResize2D` in place of the two products.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dtype = "float32"
        self.as_operator = False

    def cast(self, dtype: str) -> None:
        """Change the data type, as `gluon.Block.cast` does."""
        super().cast(dtype)
        self._dtype = dtype

    def _weights(self, F: Any, x: Any, like: Any, axis: int) -> Any:
        """Return the share of each row (axis 2) or column (axis 3) of `x` in each of `like`: shape (large, small)."""
        # The shape of one image: reading that of the whole batch would convert all of it to the plain layout.
        # Every array has at least two axes, which `mx.viz.print_summary` needs.
        end = tuple(None if number == axis else 1 for number in range(4))
        small, large = (
            F.contrib.arange_like(
                F.slice(F.cast(F.slice(array, begin=(0,), end=(1,)), "float32"), begin=(0, 0, 0, 0), end=end)
            )
            for array in (x, like)
        )
        last = F.maximum(F.max(large, keepdims=True), 1)
        positions = F.broadcast_mul(large, F.broadcast_div(F.max(small, keepdims=True), last))
        distances = F.broadcast_sub(F.reshape(positions, shape=(-1, 1)), F.reshape(small, shape=(1, -1)))
        return F.cast(F.BlockGrad(F.relu(1 - F.abs(distances))), self._dtype)

    def hybrid_forward(self, F: Any, x: Any, like: Any) -> Any:
        """Map (N, C, h, w) to (N, C, H, W), the size of `like`."""
        if self.as_operator:
            return F.contrib.BilinearResize2D(x, like, mode="like")
        rows, columns = self._weights(F, x, like, 2), self._weights(F, x, like, 3)
        x = F.dot(F.transpose(x, axes=(0, 1, 3, 2)), rows, transpose_b=True)
        return F.dot(F.transpose(x, axes=(0, 1, 3, 2)), columns, transpose_b=True)


class Hourglass(mx.gluon.HybridBlock):
    """Bottom-up top-down branch of the mask (section 3.2): `levels` times down, then up again to the input's size.

    Each level halves its input, applies `r` units, adds the result of the next level to that of a skip unit, applies
    `r` more units and interpolates to the size of its input. The innermost level has no next level, so its
    `2 r` units follow each other.

    Parameters
    ----------
    channels : int
        Channels in and out.
    levels : int
        Number of times that the map is halved, at least 1.
    r : int
        Units between two successive poolings.
    sampling : bool
        False leaves out only the poolings and interpolations (the local mask of table 4). Units, sums and parameters
        are the same, all at full size, so a comparison shows the effect of sampling alone.
    unit : class
        The residual unit, a class of `models.units`.
    """

    def __init__(
        self, channels: int, levels: int, r: int, sampling: bool = True, unit: Unit = Bottleneck, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.pool = nn.MaxPool2D(3, 2, 1) if sampling else None
            self.down = unit_sequence(r, channels, unit)
            self.skip: Any = None
            self.inner: Any = None
            if levels > 1:
                self.skip = unit_sequence(1, channels, unit)
                self.inner = Hourglass(channels, levels - 1, r, sampling, unit)
                self.anchor = LayoutAnchor("inner", channels) if sampling else None
            self.up = unit_sequence(r, channels, unit)
            self.small_anchor = LayoutAnchor("up", channels)
            self.interpolation = Interpolation() if sampling else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map (N, channels, H, W) to the same shape, for any H and W."""
        y = self.down(self.pool(x) if self.pool else x)
        if self.inner:
            inner = self.inner(y)
            y = self.skip(y) + (self.anchor(inner) if self.anchor else inner)
        y = self.up(y)
        return self.interpolation(self.small_anchor(y), x) if self.interpolation else y


class SoftMask(mx.gluon.HybridBlock):
    """Soft mask branch M(x): an hourglass, two 1x1 convolutions and the attention type (sections 3.2, 3.3).

    Parameters
    ----------
    channels, levels, r, sampling, unit
        As in `Hourglass`.
    attention : {'mixed', 'channel', 'spatial'}
        The last step, a key of `attention_types.ATTENTION`.
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        r: int,
        attention: str = "mixed",
        sampling: bool = True,
        unit: Unit = Bottleneck,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._attention = ATTENTION[attention]
        with self.name_scope():
            self.hourglass = Hourglass(channels, levels, r, sampling, unit)
            self.anchor = LayoutAnchor("mask", channels) if sampling else None
            self.bn1 = BatchNorm(in_channels=channels)
            self.conv1 = nn.Conv2D(channels, 1, use_bias=False, in_channels=channels)
            self.bn2 = BatchNorm(in_channels=channels)
            self.conv2 = nn.Conv2D(channels, 1, use_bias=False, in_channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map (N, channels, H, W) to a mask of the same shape, in (0, 1), or in (-1, 1) for channel attention."""
        y = self.hourglass(x)
        y = self.conv1(relu(F, self.bn1(self.anchor(y) if self.anchor else y)))
        return self._attention(F, self.conv2(relu(F, self.bn2(y))))


class AttentionModule(mx.gluon.HybridBlock):
    """`p` units, the trunk T of `t` units weighted by the soft mask M, `p` units (section 3, figure 2).

    Parameters
    ----------
    channels : int
        Channels in and out.
    levels : int
        Levels of the mask's hourglass.
    p, t, r : int
        Units before and after the trunk, in the trunk, and between two successive poolings of the mask.
    learning : {'arl', 'nal'}
        Attention residual learning, (1 + M) T (equation 3), or naive attention learning, M T.
    attention : {'mixed', 'channel', 'spatial'}
        As in `SoftMask`.
    mask : {'hourglass', 'local', 'none'}
        'local' is the hourglass without its poolings and interpolations; 'none' leaves the trunk as it is: T.
    unit : class
        As in `Hourglass`.

    Raises
    ------
    InputError
        If `learning`, `attention` or `mask` is unknown, or `mask` is 'none' and one of the other two is not its
        default.
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        p: int,
        t: int,
        r: int,
        learning: str = "arl",
        attention: str = "mixed",
        mask: str = "hourglass",
        unit: Unit = Bottleneck,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_variant(learning, attention, mask)
        self._residual = learning == "arl"
        with self.name_scope():
            self.first = unit_sequence(p, channels, unit)
            self.trunk = unit_sequence(t, channels, unit)
            self.mask = None
            if mask != "none":
                self.mask = SoftMask(channels, levels, r, attention, mask == "hourglass", unit)
                self.factor_anchor = LayoutAnchor("factor", channels)
                self.term_anchor = LayoutAnchor("term", channels)
                self.anchor = LayoutAnchor("product", channels)
            self.last = unit_sequence(p, channels, unit)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map (N, channels, H, W) to the same shape."""
        x = self.first(x)
        trunk = self.trunk(x)
        return self.last(self._weight(trunk, self.mask(x)) if self.mask else trunk)

    def _weight(self, trunk: Any, mask: Any) -> Any:
        if self._residual and self.anchor.active != "bfloat16":
            return self.anchor((1 + mask) * trunk)  # the fastest in float32; in bfloat16, the sum has to come last
        weighted = self.anchor(mask * self.factor_anchor(trunk))
        return self.term_anchor(trunk) + weighted if self._residual else weighted
