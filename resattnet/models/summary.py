"""What a network is made of: its layers, their output shapes, parameters and multiply-accumulates (MACs)."""

import json
from typing import NamedTuple, Tuple

import numpy as np

from ..system.mxnet import mx


class Layer(NamedTuple):
    """A layer of `features`, or the output.

    Attributes
    ----------
    name : str
        As in parameter files.
    kind : str
        Its class.
    shape : tuple of int
        Of its output for one image, without the batch.
    parameters : int
        Trainable ones.
    macs : int
        Multiply-accumulates of its convolutions and dense layers for one image.
    """

    name: str
    kind: str
    shape: Tuple[int, ...]
    parameters: int
    macs: int


def layers(net, height, width):
    """The `Layer`s of a network, initialised or not, for images of a size."""
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


def _macs(symbol, names, shape):
    """Multiply-accumulates by weight: each value of it, once for each place of the output."""
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=shape)[1]))
    nodes, counts = json.loads(symbol.tojson())["nodes"], {}
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            weight = nodes[node["inputs"][1][0]]["name"]
            places = int(np.prod(shapes[node["name"] + "_output"][2:]))
            counts[names[weight]] = int(np.prod(shapes[weight])) * places
    return counts


def total(rows):
    """Parameters and multiply-accumulates of all layers together."""
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


def table(rows):
    """Layers as lines of text, with their total."""
    head = ("layer", "kind", "output", "parameters", "MMACs")
    cells = [
        (row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}", f"{row.macs / 1000000.0:.2f}")
        for row in rows
    ]
    parameters, macs = total(rows)
    cells.append(("total", "", "", f"{parameters:,}", f"{macs / 1000000.0:.2f}"))
    widths = [max(map(len, column)) for column in zip(head, *cells)]
    return [
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths))
        )
        for line in [head] + cells
    ]
