"""Layers that units, masks and attention modules share: a ReLU, and `LayoutAnchor`."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ..machine.mxnet import mx


def relu(F: Any, x: Any) -> Any:
    """Return ReLU of x by `Activation`: unlike `F.relu`, it is a oneDNN operator and keeps the convolutions' layout."""
    return F.Activation(x, act_type="relu")


# The operator of an anchor by its place, in a training graph of each type; None: no operator.
ANCHORS: Dict[str, Dict[str, Optional[str]]] = {
    "inner": {"bfloat16": "convolution", "float32": "convolution"},  # after an inner level of a mask
    "up": {"bfloat16": "pooling", "float32": None},  # before an interpolation
    "mask": {"bfloat16": "convolution", "float32": "convolution"},  # after the last interpolation of a mask
    "factor": {"bfloat16": "pooling", "float32": None},  # the trunk, as a factor of the product with the mask
    "term": {"bfloat16": "full_pooling", "float32": None},  # the trunk, as a term beside that product
    "product": {"bfloat16": "convolution", "float32": "convolution"},
}


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

    All are exact. An inactive anchor adds nothing to the graph.

    Parameters
    ----------
    place : str
        A key of `ANCHORS`.
    channels : int
        Channels of the array.

    Attributes
    ----------
    active : {None, 'float32', 'bfloat16'}
        Set by `training_graph.compose` while it composes the graph.
    """

    def __init__(self, place: str, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._operators, self._channels = ANCHORS[place], channels
        self.active: Optional[str] = None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return an array (N, C, H, W) as it is."""
        operator = self._operators[self.active] if self.active else None
        if operator is None:
            return x
        if operator == "convolution":
            count = self._channels
            ones = F.BlockGrad(F.ones((count, 1, 1, 1)))
            return F.Convolution(x, ones, kernel=(1, 1), num_filter=count, num_group=count, no_bias=True)
        convention = "full" if operator == "full_pooling" else "valid"
        return F.Pooling(x, kernel=(1, 1), stride=(1, 1), pool_type="avg", pooling_convention=convention)
