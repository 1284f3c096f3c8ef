"""Build the graph that a training step on the CPU computes: the network's own, with faster operators of oneDNN.

Parameters, saved states and exports are those of the network itself, which stays as it is.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence, Tuple

from ..machine.mxnet import mx
from ..machine.onednn import onednn_is_on
from .fusion import fuse_relu
from .layers import LayoutAnchor

Size = Tuple[int, int]


class TrainingGraph:
    """The graph of a network for training on the CPU. It is made when it is first used, as Gluon makes the network's.

    Parameters
    ----------
    net : HybridBlock
        float32, on the CPU. The graph shares its parameters, which receive the gradients.
    build : callable
        Makes the graph, a hybridised block, from the network and the (height, width) of the images: `to_float32` or
        `precision.to_bfloat16`. For images of another size it is made anew.
    """

    def __init__(self, net: Any, build: Callable[[Any, Size], Any]) -> None:
        self._net, self._build = net, build
        self._size: Optional[Size] = None
        self.block: Any = None

    def __call__(self, images: Any) -> Any:
        """Return float32 logits (N, classes) of images (N, 3, H, W)."""
        if images.shape[2:] != self._size:
            self._size = images.shape[2:]
            self.block = self._build(self._net, self._size)
        return self.block(images)


def to_float32(net: Any, size: Optional[Size] = None) -> Any:
    """Return a graph of a network that computes in float32, for training on the CPU.

    Parameters
    ----------
    net : HybridBlock
        As for `TrainingGraph`.
    size : tuple of int, optional
        (height, width) of the images, which changes nothing in float32.

    Returns
    -------
    SymbolBlock
    """
    return as_block(fuse_relu(compose(net, "float32")), net)


def computes_with_onednn(devices: Sequence[Any]) -> bool:
    """Return whether MXNet computes on these devices by oneDNN."""
    return devices[0].device_type == "cpu" and onednn_is_on()


def compose(net: Any, kind: str) -> Any:
    """Return the symbol of a network with the operators of its anchors (`layers.LayoutAnchor`) for a kind of graph."""
    net.apply(_set_anchor(kind))
    try:
        return net(mx.sym.var("data", dtype="float32"))
    finally:
        net.apply(_set_anchor(None))


def _set_anchor(kind: Optional[str]) -> Callable[[Any], None]:
    def apply(block: Any) -> None:
        if isinstance(block, LayoutAnchor):
            block.active = kind

    return apply


def as_block(symbol: Any, net: Any) -> Any:
    """Return a symbol of the input `data` as a hybridised block with the parameters of a network."""
    data = mx.sym.var("data", dtype="float32")
    block = mx.gluon.SymbolBlock(symbol, data, params=net.collect_params())
    block.hybridize(static_alloc=True, static_shape=True)
    return block
