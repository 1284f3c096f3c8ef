"""Summarise a network: its layers, their output shapes, parameters and multiply-accumulates (MACs)."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

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
    outputs, handles = {}, []
    children = [(f"features.{index}", block) for index, block in enumerate(net.features)] + [("output", net.output)]
    data = mx.sym.var("data")
    try:
        for name, block in children:
            handles.append(
                block.register_forward_hook(lambda _, inputs, output, name=name: outputs.update({name: output}))
            )
        symbol = net(data)
    finally:
        for handle in handles:
            handle.detach()
    parameters = net._collect_params_with_prefix()
    macs = _macs(symbol, {parameter.name: name for name, parameter in parameters.items()}, (1, 3, height, width))
    shapes = mx.sym.Group([outputs[name] for name, _ in children]).infer_shape(data=(1, 3, height, width))[1]
    rows = []
    for (name, block), shape in zip(children, shapes):
        own = [key for key in parameters if key.startswith(name + ".")]
        rows.append(
            Layer(
                name,
                type(block).__name__,
                tuple(shape[1:]),
                sum(int(np.prod(parameters[key].shape)) for key in own if parameters[key].grad_req != "null"),
                sum(macs.get(key, 0) for key in own),
            )
        )
    return rows


def _macs(symbol: Any, names: Mapping[str, str], shape: Tuple[int, ...]) -> Dict[str, int]:
    """Return the multiply-accumulates of each weight: its number of values times the positions of the output."""
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=shape)[1]))
    nodes, counts = json.loads(symbol.tojson())["nodes"], {}
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            weight = nodes[node["inputs"][1][0]]["name"]
            places = int(np.prod(shapes[node["name"] + "_output"][2:]))
            counts[names[weight]] = int(np.prod(shapes[weight])) * places
    return counts


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
