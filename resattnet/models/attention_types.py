"""Compute the last step of a mask: the kinds of attention of section 3.3. Nothing here imports MXNet.

`F` is `mx.nd` or `mx.sym`, as in `hybrid_forward`; `x` has the shape (N, C, H, W).
"""

from __future__ import annotations

from typing import Any

EPSILON = 1e-5  # added to what a square root is taken of, as in batch normalisation: maps of zeros have gradients too


def mixed_attention(F: Any, x: Any) -> Any:
    """The sigmoid of each value: f1 of section 3.3."""
    return F.Activation(x, act_type="sigmoid")


def channel_attention(F: Any, x: Any) -> Any:
    """x over its L2 norm over the channels at each position, sqrt(sum of squares + EPSILON): f2 of section 3.3."""
    return F.broadcast_div(x, F.sqrt(F.sum(F.square(x), axis=1, keepdims=True) + EPSILON))


def spatial_attention(F: Any, x: Any) -> Any:
    """The sigmoid of (x - mean) / sqrt(variance + EPSILON), both of each channel's own map: f3 of section 3.3."""
    centred = F.broadcast_sub(x, F.mean(x, axis=(2, 3), keepdims=True))
    deviation = F.sqrt(F.mean(F.square(centred), axis=(2, 3), keepdims=True) + EPSILON)
    return F.Activation(F.broadcast_div(centred, deviation), act_type="sigmoid")


ATTENTION = {"mixed": mixed_attention, "channel": channel_attention, "spatial": spatial_attention}
