"""Make the ONNX model of a network with MXNet's exporter, from a symbol that the exporter can translate."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from types import ModuleType
from typing import Any, Dict, Iterator, Tuple

import numpy as np

from .. import __version__
from ..machine.mxnet import mx
from ..models.attention import Interpolation
from ..system.errors import InputError
from .network_graph import compose_graph, load_graph

OPSET = 13  # the newest operator set that MXNet's exporter knows
IR_VERSION = 7  # the version of the file format that came with that operator set


def import_onnx(*names: str) -> Tuple[ModuleType, ...]:
    """Return packages that the extra `onnx` brings; without names `onnx` and `onnxruntime`.

    Raises
    ------
    InputError
        If one cannot be imported; the message says how to install them.
    """
    names = names or ("onnx", "onnxruntime")
    try:
        return tuple(importlib.import_module(name) for name in names)
    except ImportError as error:
        raise InputError(
            f"ONNX: {' and '.join(names)} cannot be imported ({str(error).splitlines()[0]}): "
            "python -m pip install -e '.[onnx]'"
        ) from error


def make_model(net: Any, height: int, width: int) -> Any:
    """Return the `onnx.ModelProto` of a network for images of one size and any batch size.

    Batch normalisation uses the running statistics. The interpolations of the masks are `Resize` nodes with aligned
    corners.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32.
    height, width : int
        Size of the images in pixels.
    """
    (onnx,) = import_onnx("onnx")
    with _interpolation_operators(net):
        graph, arrays = compose_graph(net, "images")
    scales = _fix_sizes(graph, (1, 3, height, width))
    proto = _translate(onnx, load_graph(graph), arrays, (height, width))
    for node in proto.node:
        if node.op_type == "Resize":  # the exporter takes its sizes from the batch; all runtimes know constants
            del node.input[1:]
            node.input.extend(["", node.name + "_scales"])
            arrays[node.name + "_scales"] = scales[node.name]
        node.name = node.output[0]
    _add_arrays(onnx, proto, arrays)
    return onnx.helper.make_model(
        proto,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="resattnet",
        producer_version=__version__,
    )


@contextlib.contextmanager
def _interpolation_operators(net: Any) -> Iterator[None]:
    """Have symbols of the network composed with MXNet's interpolation operator, within the context."""

    def switch(active: bool) -> Any:
        def apply(block: Any) -> None:
            if isinstance(block, Interpolation):
                block.as_operator = active

        return apply

    net.apply(switch(True))
    try:
        yield
    finally:
        net.apply(switch(False))


def _fix_sizes(graph: Dict[str, Any], shape: Tuple[int, ...]) -> Dict[str, np.ndarray]:
    """Give each interpolation of a graph its output size as a number, and return the scales by node.

    The scales are float32 and not below the ratio of the sizes: a runtime multiplies by them and rounds down.

    Parameters
    ----------
    graph : dict
        JSON of the symbol; it is changed.
    shape : tuple of int
        Shape of the images (N, 3, H, W).
    """
    internals = load_graph(graph).get_internals()
    shapes = {
        name.rpartition("_output")[0] or name: size
        for name, size in zip(internals.list_outputs(), internals.infer_shape(images=shape)[1])
    }
    scales = {}
    for node in graph["nodes"]:
        if node["op"] == "_contrib_BilinearResize2D":
            small, large = (shapes[graph["nodes"][source[0]]["name"]][2:] for source in node["inputs"])
            ratios = np.array([1, 1, large[0] / small[0], large[1] / small[1]])
            single = ratios.astype(np.float32)
            scales[node["name"]] = np.where(single < ratios, np.nextafter(single, np.float32(np.inf)), single)
            node["attrs"] = {"mode": "size", "height": str(large[0]), "width": str(large[1])}
            node["inputs"] = node["inputs"][:1]
    return scales


@contextlib.contextmanager
def _exporting(onnx: Any) -> Iterator[None]:
    """Silence the exporter's messages, and have it check operators against the opset that it writes."""
    context, root, silent = onnx.checker.DEFAULT_CONTEXT, logging.getLogger(), logging.NullHandler()
    opsets, disabled = context.opset_imports, root.manager.disable
    context.opset_imports = {"": OPSET}
    root.addHandler(silent)  # without any handler, `logging.warning` adds one that stays
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)
        context.opset_imports = opsets


def _translate(onnx: Any, symbol: Any, arrays: Dict[str, Any], size: Tuple[int, int]) -> Any:
    """Return the symbol as an `onnx.GraphProto`, by MXNet's exporter; the arrays are inputs, beside `images`."""
    # The exporter turns arrays into lists of Python numbers, which takes a minute per 30 million: pass it none.
    names = symbol.list_inputs()
    shapes = [arrays[name].shape if name in arrays else (1, 3) + size for name in names]
    dynamic = [arrays[name].shape if name in arrays else ("batch", 3) + size for name in names]
    exporter = mx.onnx.mx2onnx._export_onnx.MXNetGraph()  # `export_model` always takes the newest opset
    with _exporting(onnx):
        proto = exporter.create_onnx_graph_proto(
            symbol,
            {},
            shapes,
            [onnx.TensorProto.FLOAT] * len(names),
            opset_version=OPSET,
            dynamic=True,
            dynamic_input_shapes=dynamic,
        )
    proto.name = "resattnet"
    classes = symbol.infer_shape(**dict(zip(names, shapes)))[1][0][1]
    del proto.output[:]  # the exporter's output has no shape
    proto.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ("batch", classes)))
    return proto


def _add_arrays(onnx: Any, proto: Any, arrays: Dict[str, Any]) -> None:
    """Remove the nodes and constants that the output does not depend on, and add the arrays as constants."""
    needed = {"logits"}
    for index in reversed(range(len(proto.node))):
        if needed.isdisjoint(proto.node[index].output):
            del proto.node[index]
        else:
            needed.update(proto.node[index].input)
    for values, keep in ((proto.initializer, needed), (proto.input, ("images",))):
        for index in reversed(range(len(values))):
            if values[index].name not in keep:
                del values[index]
    for name, array in arrays.items():
        array = array if isinstance(array, np.ndarray) else array.asnumpy()
        proto.initializer.append(onnx.numpy_helper.from_array(array, name))
