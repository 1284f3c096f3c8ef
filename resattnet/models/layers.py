"""Layers that units, masks and attention modules share: a ReLU, and `LayoutAnchor`."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ..machine.mxnet import mx
from ..machine.onednn import AMX_CHANNELS


def relu(F: Any, x: Any) -> Any:
    """Return ReLU of x by `Activation`: unlike `F.relu`, it is a oneDNN operator and keeps the convolutions' layout."""
    return F.Activation(x, act_type="relu")


# The operator of an anchor by its place, in each kind of training graph: in a type, or in bfloat16 with AMX.
ANCHORS: Dict[str, Dict[str, str]] = {
    "inner": {"float32": "convolution", "bfloat16": "convolution", "amx": "wide_convolution"},  # after an inner level
    "up": {"bfloat16": "pooling", "amx": "pooling"},  # before an interpolation
    "mask": {"float32": "convolution", "bfloat16": "convolution", "amx": "wide_convolution"},  # after the last one
    "factor": {"bfloat16": "pooling", "amx": "pooling"},  # the trunk, as a factor of the product with the mask
    "term": {"bfloat16": "full_pooling", "amx": "full_pooling"},  # the trunk, as a term beside that product
    "product": {"float32": "convolution", "bfloat16": "convolution", "amx": "wide_convolution"},
}
_GROUP_SIZES = {"convolution": 1, "wide_convolution": AMX_CHANNELS}  # channels in a group


class LayoutAnchor(mx.gluon.HybridBlock):
    """The identity, which in a training graph restores the network's data type and memory layout.

    An operator that supports neither bfloat16 nor oneDNN's blocked layout (a product, a matrix product, MXNet's sum
    of gradients) makes everything after it compute in float32 and in the plain layout, where batch normalisation takes
    eight times as long. An active anchor is an operator of oneDNN that exists in bfloat16:

    - A 1x1 convolution of each channel with the constant 1 returns the blocked layout, whatever comes in, and passes a
      gradient in the blocked layout back. The constant has no gradient, so none is computed.
    - A pooling with a 1x1 kernel keeps the layout that comes in and returns the gradient in it. MXNet merges two equal
      poolings of one array, and then cannot reuse the memory of the result: two anchors of one array differ in an
      attribute that has no effect on this kernel, "pooling" and "full_pooling".
    - With AMX the layout is another one, with the channels last (`onednn.turn_amx_on`). A 1x1 convolution of groups of
      `AMX_CHANNELS` channels with the identity matrix returns it, as the network's own convolutions do.

    All are exact, but for numbers near zero (below 1e-38), which become zero in bfloat16. An inactive anchor adds
    nothing to the graph.

    Parameters
    ----------
    place : str
        A key of `ANCHORS`.
    channels : int
        Channels of the array.

    Attributes
    ----------
    active : {None, 'float32', 'bfloat16', 'amx'}
        Set by `training_graph.compose` while it composes the graph.
    """

    def __init__(self, place: str, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._operators, self._channels = ANCHORS[place], channels
        self.active: Optional[str] = None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return an array (N, C, H, W) as it is."""
        operator = self._operators.get(self.active) if self.active else None
        if operator is None:
            return x
        if operator in _GROUP_SIZES:
            size, groups = _GROUP_SIZES[operator], self._channels // _GROUP_SIZES[operator]
            if size == 1:
                weights = F.ones((groups, 1, 1, 1))
            else:
                weights = F.tile(F.eye(size), reps=(groups, 1)).reshape((groups * size, size, 1, 1))
            given = dict(kernel=(1, 1), num_filter=groups * size, num_group=groups, no_bias=True)
            return F.Convolution(x, F.BlockGrad(weights), **given)
        convention = "full" if operator == "full_pooling" else "valid"
        return F.Pooling(x, kernel=(1, 1), stride=(1, 1), pool_type="avg", pooling_convention=convention)
