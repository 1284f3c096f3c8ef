"""Build the graph that a training step on the CPU computes: the network's own, with faster operators of oneDNN.

Parameters, saved states and exports are those of the network itself, which stays as it is.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Sequence

from ..machine.mxnet import mx
from .fusion import fuse_relu, onednn_is_on
from .layers import LayoutAnchor


class TrainingGraph:
    """The graph of a network for training on the CPU. It is made when it is first used, as Gluon makes the network's.

    Parameters
    ----------
    net : HybridBlock
        float32, on the CPU. The graph shares its parameters, which receive the gradients.
    build : callable
        Makes the graph, a hybridised block, from the network: `to_float32` or `precision.to_bfloat16`.
    """

    def __init__(self, net: Any, build: Callable[[Any], Any]) -> None:
        self._net, self._build = net, build

    @functools.cached_property
    def block(self) -> Any:
        """The hybridised block."""
        return self._build(self._net)

    def __call__(self, images: Any) -> Any:
        """Return float32 logits (N, classes) of images (N, 3, H, W)."""
        return self.block(images)


def to_float32(net: Any) -> Any:
    """Return a graph of a network that computes in float32, for training on the CPU.

    Parameters
    ----------
    net : HybridBlock
        As for `TrainingGraph`.

    Returns
    -------
    SymbolBlock
    """
    return as_block(fuse_relu(compose(net, "float32")), net)


def computes_with_onednn(devices: Sequence[Any]) -> bool:
    """Return whether MXNet computes on these devices by oneDNN."""
    return devices[0].device_type == "cpu" and onednn_is_on()


def compose(net: Any, dtype: str) -> Any:
    """Return the symbol of a network with the operators of its anchors (`layers.LayoutAnchor`) for a data type."""
    net.apply(_set_anchor(dtype))
    try:
        return net(mx.sym.var("data", dtype="float32"))
    finally:
        net.apply(_set_anchor(None))


def _set_anchor(dtype: Optional[str]) -> Callable[[Any], None]:
    def apply(block: Any) -> None:
        if isinstance(block, LayoutAnchor):
            block.active = dtype

    return apply


def as_block(symbol: Any, net: Any) -> Any:
    """Return a symbol of the input `data` as a hybridised block with the parameters of a network."""
    data = mx.sym.var("data", dtype="float32")
    block = mx.gluon.SymbolBlock(symbol, data, params=net.collect_params())
    block.hybridize(static_alloc=True, static_shape=True)
    return block
