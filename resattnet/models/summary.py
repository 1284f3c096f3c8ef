"""Summarise a network: its layers, their output shapes, parameters and multiply-accumulates (MACs)."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..machine.mxnet import mx
from ..system.text_table import align_columns


class Layer(NamedTuple):
    """A child of `features`, or the output layer.

    Attributes
    ----------
    name : str
        The layer's prefix in parameter files.
    kind : str
        Name of the layer's class.
    shape : tuple of int
        Shape of the output for one image, without the batch.
    parameters : int
        Number of trainable parameters.
    macs : int
        Multiply-accumulates of the convolutions and dense layers for one image.
    """

    name: str
    kind: str
    shape: Tuple[int, ...]
    parameters: int
    macs: int


def layers(net: Any, height: int, width: int) -> List[Layer]:
    """Return the layers of a network, initialised or not, for images of a size.

    Parameters
    ----------
    net : AttentionNet
    height, width : int
        Size of the images in pixels.
    """
    children = [(f"features.{index}", block) for index, block in enumerate(net.features)] + [("output", net.output)]
    shape: Tuple[int, ...] = (1, 3, height, width)
    measured: Dict[Tuple[str, Tuple[int, ...]], Tuple[Tuple[int, ...], int]] = {}
    rows = []
    for name, block in children:
        # Most children of a deep network are alike, and what takes time is to compose their symbols.
        key = (repr(block), shape)
        if key not in measured:
            measured[key] = _measure(block, shape)
        shape, macs = measured[key]
        trainable = [one for one in block.collect_params().values() if one.grad_req != "null"]
        count = sum(int(np.prod(one.shape)) for one in trainable)
        rows.append(Layer(name, type(block).__name__, shape[1:], count, macs))
    return rows


def _measure(block: Any, shape: Tuple[int, ...]) -> Tuple[Tuple[int, ...], int]:
    """Return the shape of a block's output and its multiply-accumulates, for an input of a shape.

    A weight has its number of values times the positions of the output.
    """
    symbol = block(mx.sym.var("data"))
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=shape)[1]))
    nodes, macs = json.loads(symbol.tojson())["nodes"], 0
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            weight = nodes[node["inputs"][1][0]]["name"]
            macs += int(np.prod(shapes[weight])) * int(np.prod(shapes[node["name"] + "_output"][2:]))
    return tuple(shapes[symbol.list_outputs()[0]]), macs


def total(rows: Sequence[Layer]) -> Tuple[int, int]:
    """Return the parameters and the multiply-accumulates of all layers together."""
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


def table(rows: Sequence[Layer]) -> List[str]:
    """Return the layers and their total as lines of text."""
    cells = [
        (row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}", f"{row.macs / 1e6:.2f}")
        for row in rows
    ]
    parameters, macs = total(rows)
    heading = ("layer", "kind", "output", "parameters", "MMACs")
    return align_columns([heading, *cells, ("total", "", "", f"{parameters:,}", f"{macs / 1e6:.2f}")], align="lll")
