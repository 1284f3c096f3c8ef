"""Build the graph that a training step on the CPU computes: the network's own, with faster operators of oneDNN.

Parameters, saved states and exports are those of the network itself, which stays as it is.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from typing import Any, Callable, Dict, Optional, Sequence, Set

from ..machine.mxnet import mx
from .layers import LayoutAnchor

BLOCK = 16  # the most channels in a block of oneDNN's layouts: 16 with AVX-512, 8 without
KEEPS_LAYOUT = ("BatchNorm", "Activation", "Pooling", "amp_cast")  # the operators that return the layout of their input


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
    """Return whether MXNet computes on these devices by oneDNN: on the CPU, unless a variable turns it off."""
    on = os.environ.get("MXNET_MKLDNN_ENABLED", "1").lower() not in ("0", "false")
    return devices[0].device_type == "cpu" and on and mx.runtime.Features().is_enabled("MKLDNN")


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


def fuse_relu(symbol: Any) -> Any:
    """Return a symbol in which a normalisation and the ReLU that alone uses it are one operator.

    The gradients and the running statistics are the same to the last bit. The one operator reads and writes each array
    once where two operators do so twice, forward and backward.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        May have the casts of mixed precision.
    """
    graph = json.loads(symbol.tojson(remove_amp_cast=False))  # by default, the casts are lost without a word
    nodes = graph["nodes"]
    blocked = _blocked_nodes(nodes)
    uses = Counter(number for node in nodes for number, *_ in node["inputs"])
    uses.update(number for number, *_ in graph["heads"])
    for node in nodes:
        if node["op"] == "Activation" and node["attrs"]["act_type"] == "relu":
            number = node["inputs"][0][0]
            # With an input in the plain layout and a gradient in a blocked one, MXNet 1.9.1 applies the mask of the
            # ReLU in the wrong order: the gradients are wrong, without an error.
            if nodes[number]["op"] == "BatchNorm" and uses[number] == 1 and number in blocked:
                # The node of the ReLU takes the place of both; nothing uses that of the normalisation any more.
                node.update(nodes[number], op="_contrib_BatchNormWithReLU")
    return mx.sym.load_json(json.dumps(graph))


def _blocked_nodes(nodes: Sequence[Dict[str, Any]]) -> Set[int]:
    """Return the numbers of the nodes whose output certainly has one of oneDNN's blocked layouts."""
    blocked: Set[int] = set()
    for number, node in enumerate(nodes):
        inputs = [source for source, *_ in node["inputs"]]
        if node["op"] == "Convolution":
            channels, groups = (int(node["attrs"].get(name, 1)) for name in ("num_filter", "num_group"))
            found = channels % BLOCK == 0 and groups in (1, channels)
        elif node["op"] == "elemwise_add":
            found = blocked.issuperset(inputs)
        else:
            found = node["op"] in KEEPS_LAYOUT and inputs[0] in blocked
        if found:
            blocked.add(number)
    return blocked


def as_block(symbol: Any, net: Any) -> Any:
    """Return a symbol of the input `data` as a hybridised block with the parameters of a network."""
    data = mx.sym.var("data", dtype="float32")
    block = mx.gluon.SymbolBlock(symbol, data, params=net.collect_params())
    block.hybridize(static_alloc=True, static_shape=True)
    return block
