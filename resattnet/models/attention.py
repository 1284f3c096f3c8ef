"""The attention module: a trunk of residual units, weighted by a soft mask (section 3 of the paper)."""

from __future__ import annotations

from typing import Any, Callable

from ..system.mxnet import mx
from .attention_types import ATTENTION
from .spec import check_variant
from .units import Bottleneck, LayoutAnchor, relu, unit_sequence

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn
Unit = Callable[..., HybridBlock]  # `unit(channels, in_channels, stride=1)`


class Interpolation(HybridBlock):
    """Bilinear interpolation with aligned corners to the size of another map, as two matrix products.

    MXNet's own `BilinearResize2D` gives other gradients from run to run where there are two threads,
    and is 2 to 7 times slower on these maps, backward included. It is what other formats know, though: while
    `as_operator` is set, a symbol that is composed has it in their place.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._dtype = "float32"
        self.as_operator = False

    def cast(self, dtype):
        """As `gluon.Block.cast`."""
        super().cast(dtype)
        self._dtype = dtype

    def _weights(self, F, x, like, axis):
        """Share of each row (axis 2) or column (axis 3) of `x` in each of `like`: shape (large, small)."""
        # Of one image, since the whole batch would be brought to the plain layout for its shape alone.
        small, large = (
            F.contrib.arange_like(F.cast(F.slice(array, begin=(0,), end=(1,)), "float32"), axis=axis)
            for array in (x, like)
        )
        scale = F.broadcast_div(F.max(small), F.maximum(F.max(large), 1))
        distances = F.broadcast_sub(F.expand_dims(F.broadcast_mul(large, scale), 1), F.expand_dims(small, 0))
        return F.cast(F.BlockGrad(F.relu(1 - F.abs(distances))), self._dtype)

    def hybrid_forward(self, F, x, like):
        """Map (N, C, h, w) to (N, C, H, W), the size of `like`."""
        if self.as_operator:
            return F.contrib.BilinearResize2D(x, like, mode="like")
        rows, columns = self._weights(F, x, like, 2), self._weights(F, x, like, 3)
        x = F.dot(F.transpose(x, axes=(0, 1, 3, 2)), rows, transpose_b=True)
        return F.dot(F.transpose(x, axes=(0, 1, 3, 2)), columns, transpose_b=True)


class Hourglass(HybridBlock):
    """Bottom-up top-down branch: `levels` times down, then up again to the size that came in (section 3.2).

    Each level halves its input, applies `r` units, adds the next level within to a skip unit, applies
    `r` units more and interpolates back. The innermost has `2 r` units; the outermost adds nothing of
    its own input.

    Parameters
    ----------
    channels : int
        Channels in and out.
    levels : int
        How many times the map is halved, at least 1.
    r : int
        Units between two neighbouring poolings.
    sampling : bool
        False leaves out the poolings and interpolations and nothing else, as the local mask of table 4: units, sums
        and parameters are the same, all at full size, so that only the sampling is compared.
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
            self.skip = self.inner = None
            if levels > 1:
                self.skip = unit_sequence(1, channels, unit)
                self.inner = Hourglass(channels, levels - 1, r, sampling, unit)
                self.anchor = LayoutAnchor()
            self.up = unit_sequence(r, channels, unit)
            self.small_anchor = LayoutAnchor()
            self.interpolation = Interpolation() if sampling else None

    def hybrid_forward(self, F, x):
        """Map (N, channels, H, W) to the same shape, for any H and W."""
        y = self.down(self.pool(x) if self.pool else x)
        if self.inner:
            y = self.skip(y) + self.anchor(self.inner(y))
        y = self.up(y)
        return self.interpolation(self.small_anchor(y), x) if self.interpolation else y


class SoftMask(HybridBlock):
    """Soft mask branch M(x): an hourglass, two 1x1 convolutions and the attention's type (sections 3.2, 3.3).

    Parameters
    ----------
    channels, levels, r, sampling, unit
        As in `Hourglass`.
    attention : {'mixed', 'channel', 'spatial'}
        The last step: `mixed_attention`, `channel_attention` or `spatial_attention`.
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
            self.bn1 = nn.BatchNorm(in_channels=channels)
            self.conv1 = nn.Conv2D(channels, 1, use_bias=False, in_channels=channels)
            self.bn2 = nn.BatchNorm(in_channels=channels)
            self.conv2 = nn.Conv2D(channels, 1, use_bias=False, in_channels=channels)

    def hybrid_forward(self, F, x):
        """Map (N, channels, H, W) to a mask of the same shape, in (0, 1); in (-1, 1) of channel attention."""
        y = self.conv1(relu(F, self.bn1(self.hourglass(x))))
        return self._attention(F, self.conv2(relu(F, self.bn2(y))))


class AttentionModule(HybridBlock):
    """`p` units, the trunk T of `t` units weighted by the soft mask M, `p` units (section 3, figure 2).

    Parameters
    ----------
    channels : int
        Channels in and out.
    levels : int
        Levels of the mask's hourglass.
    p, t, r : int
        Units before and after, in the trunk, and between two poolings of the mask.
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
        If one of the three is unknown, or there is no mask and the other two are not left as they are.
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
                self.factor_anchor, self.term_anchor, self.anchor = (
                    LayoutAnchor("avg"),
                    LayoutAnchor("max"),
                    LayoutAnchor("avg"),
                )
            self.last = unit_sequence(p, channels, unit)

    def hybrid_forward(self, F, x):
        """Map (N, channels, H, W) to the same shape."""
        x = self.first(x)
        trunk = self.trunk(x)
        return self.last(self._weight(trunk, self.mask(x)) if self.mask else trunk)

    def _weight(self, trunk, mask):
        if self._residual and not self.anchor.active:
            return (1 + mask) * trunk  # the fastest in float32; a sum has to come last where the layout is kept
        weighted = self.anchor(mask * self.factor_anchor(trunk))
        return self.term_anchor(trunk) + weighted if self._residual else weighted
