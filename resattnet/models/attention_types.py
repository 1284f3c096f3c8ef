"""Compute the last step of a mask: the attention types of section 3.3 of the paper. Nothing here imports MXNet.

`F` is `mx.nd` or `mx.sym`, as in `hybrid_forward`; `x` has the shape (N, C, H, W), as does the result.
"""

from __future__ import annotations

from typing import Any

# Added under each square root, as in batch normalisation: without it a map of zeros has no gradient.
EPSILON = 1e-5


def mixed_attention(F: Any, x: Any) -> Any:
    """Return the sigmoid of each value: f1 of section 3.3."""
    return F.Activation(x, act_type="sigmoid")


def channel_attention(F: Any, x: Any) -> Any:
    """Return x / sqrt(sum of squares over the channels + EPSILON), at each position: f2 of section 3.3."""
    return F.broadcast_div(x, F.sqrt(F.sum(F.square(x), axis=1, keepdims=True) + EPSILON))


def spatial_attention(F: Any, x: Any) -> Any:
    """Return the sigmoid of (x - mean) / sqrt(variance + EPSILON), both over each channel's map: f3 of section 3.3."""
    centred = F.broadcast_sub(x, F.mean(x, axis=(2, 3), keepdims=True))
    deviation = F.sqrt(F.mean(F.square(centred), axis=(2, 3), keepdims=True) + EPSILON)
    return F.Activation(F.broadcast_div(centred, deviation), act_type="sigmoid")


ATTENTION = {"mixed": mixed_attention, "channel": channel_attention, "spatial": spatial_attention}
