"""Layers that units, masks and attention modules share: a ReLU, and `LayoutAnchor`."""

from __future__ import annotations

from typing import Any

from ..machine.mxnet import mx


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
