"""Fuse batch normalisation with the ReLU after it in a graph for training: `fuse_relu`."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from typing import Any, Dict, List, Sequence, Set, Tuple

import numpy as np

from ..machine.mxnet import mx
from ..machine.onednn import AMX_CHANNELS, onednn_is_on

BLOCK = 16  # the most channels in a block of oneDNN's layouts: 16 with AVX-512, 8 without
KEEPS_CHANNELS = ("BatchNorm", "Activation", "Pooling", "amp_cast")


def fuse_relu(symbol: Any) -> Any:
    """Return a symbol as `fuse_all` does, or unchanged where the gradients would be wrong: see `is_exact`."""
    return fuse_all(symbol) if is_exact() else symbol


def fuse_all(symbol: Any) -> Any:
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
    in_blocks, blocked = _nodes_in_blocks(nodes)
    users: Dict[int, List[int]] = defaultdict(list)
    for number, node in enumerate(nodes):
        for source, *_ in node["inputs"]:
            users[source].append(number)
    results = {number for number, *_ in graph["heads"]}
    for own, node in enumerate(nodes):
        if node["op"] == "Activation" and node["attrs"]["act_type"] == "relu":
            number = node["inputs"][0][0]
            alone = nodes[number]["op"] == "BatchNorm" and users[number] == [own] and number not in results
            # With an input in the plain layout and a gradient in a blocked one, MXNet 1.9.1 applies the mask of the
            # ReLU in the wrong order: the gradients are wrong, without an error. The other way round, oneDNN may have
            # no such operator, which ends the training.
            if alone and number in blocked and all(user in in_blocks for user in users[own]):
                # The node of the ReLU takes the place of both; nothing uses that of the normalisation any more.
                node.update(nodes[number], op="_contrib_BatchNormWithReLU")
    return mx.sym.load_json(json.dumps(graph))


def _nodes_in_blocks(nodes: Sequence[Dict[str, Any]]) -> Tuple[Set[int], Set[int]]:
    """Return the numbers of the nodes that certainly compute in a blocked layout, and of those that return one.

    A convolution computes in blocks where its inputs and outputs have a multiple of 16 channels each, and does not have
    small groups. A pooling returns its input's layout, but the gradient of a pooling of all pixels may have another. A
    cast returns the plain layout, and MXNet brings its gradient into that of the input.
    """
    channels: Dict[int, int] = {}  # of the outputs of nodes; where they are not known 1, which no block holds
    computing, returning = set(), set()
    for number, node in enumerate(nodes):
        attributes = node.get("attrs", {})
        sources = [source for source, *_ in node["inputs"]]
        if node["op"] == "Convolution":
            channels[number] = int(attributes["num_filter"])
            groups = int(attributes.get("num_group", 1))
            depthwise = groups == channels[number]
            grouped = depthwise or groups == 1 or channels[number] // groups == AMX_CHANNELS
            first = nodes[sources[0]]["op"] == "null"  # has a kernel of its own for three channels
            known = depthwise or first or channels.get(sources[0], 1) % BLOCK == 0
            if channels[number] % BLOCK == 0 and known and grouped:
                computing.add(number)
                returning.add(number)
        elif node["op"] == "elemwise_add":
            channels[number] = channels.get(sources[0], 1)
            if returning.issuperset(sources):
                returning.add(number)
        elif node["op"] == "Concat":
            channels[number] = sum(channels.get(source, 1) for source in sources)
        elif node["op"] in KEEPS_CHANNELS:
            channels[number] = channels.get(sources[0], 1)
            if node["op"] == "amp_cast":
                computing.add(number)
            elif sources[0] in returning:
                returning.add(number)
                if attributes.get("global_pool") != "True":
                    computing.add(number)
    return computing, returning


@functools.lru_cache(maxsize=None)
def is_exact() -> bool:
    """Return whether oneDNN is on and fusing changes no bit of a small network's gradients and running statistics.

    oneDNN chooses its layouts by the CPU. Without AVX2, its convolutions return plain layouts too.
    """
    if not onednn_is_on():
        return False
    with mx.name.NameManager():  # the names of other symbols do not depend on this one
        plain = _small_network()
    return all(np.array_equal(one, other) for one, other in zip(_results(plain), _results(fuse_all(plain))))


def _small_network() -> Any:
    """Return a network with all that comes before and after a fused normalisation."""

    def convolve(x: Any, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Any:
        size = dict(kernel=(kernel, kernel), stride=(stride, stride), pad=(kernel // 2, kernel // 2))
        return mx.sym.Convolution(x, num_filter=channels, num_group=groups, no_bias=True, **size)

    def activate(x: Any) -> Any:
        return mx.sym.Activation(mx.sym.BatchNorm(x, fix_gamma=False), act_type="relu")

    x = activate(convolve(mx.sym.var("data"), 64, 3))
    for stride in (1, 2):
        y = activate(x)
        z = convolve(activate(convolve(y, 32)), 32, 3, stride)
        x = convolve(activate(z), 64) + convolve(y, 64, 1, stride)
        x = convolve(activate(mx.sym.Pooling(x, kernel=(3, 3), pad=(1, 1), pool_type="max")), 64, 3) + x
        x = convolve(activate(convolve(x, 64, 3, groups=64 // AMX_CHANNELS)), 64)
        x = convolve(2 * x, 64, groups=64)  # from the plain layout
    return convolve(activate(x), 16)


def _results(symbol: Any) -> List[np.ndarray]:
    """Return the output, the gradients and the running statistics of a symbol on fixed random numbers."""
    draws = np.random.RandomState(0)  # not MXNet's own numbers: a resumed run would go on with others
    arguments, _, auxiliary = symbol.infer_shape(data=(4, 3, 16, 16))
    shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + auxiliary))
    names = symbol.list_inputs()
    arrays = {name: mx.nd.array(draws.normal(0.5, 1, shapes[name]), dtype="float32") for name in sorted(names)}
    learned = [arrays[name] for name in symbol.list_arguments()]
    for array in learned:
        array.attach_grad()
    graph = mx.nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])
    with mx.autograd.record():
        output = graph(*(arrays[name] for name in names))
    output.backward(mx.nd.array(draws.normal(size=output.shape), dtype="float32"))
    mx.nd.waitall()  # running statistics are written without the engine's knowledge
    statistics = [arrays[name] for name in symbol.list_auxiliary_states()]
    return [array.asnumpy() for array in [output, *(array.grad for array in learned), *statistics]]
