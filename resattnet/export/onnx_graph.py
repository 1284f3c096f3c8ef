"""A network as an ONNX model: by MXNet's exporter, from a symbol that it can translate and other runtimes like."""

import contextlib
import json
import logging
import warnings

import numpy as np

from .. import __version__
from ..models.attention import Interpolation
from ..system.errors import InputError
from ..system.mxnet import mx

OPSET, IR_VERSION = 13, 7  # the newest operators that MXNet's exporter knows, and the file format of their time


def import_onnx():
    """The packages `onnx` and `onnxruntime`; an InputError that says how to install them where they are absent."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"ONNX: onnx and onnxruntime cannot be imported ({str(error).splitlines()[0]}): python -m pip install -e '.[onnx]'"
        ) from error
    return onnx, onnxruntime


def compose(net, data):
    """A network's symbol, as the dict of its JSON, and its arrays by name.

    Both are named after the layers, as in parameter files: the same for the same network, which Gluon's names are not.

    Parameters
    ----------
    net : HybridBlock
    data : str
        Name of the input; the output is `logits`.
    """
    layers = net._collect_params_with_prefix()
    names = {parameter.name: name for name, parameter in layers.items()}
    graph = json.loads(net(mx.sym.var(data)).tojson())
    nodes = graph["nodes"]
    for index, node in enumerate(nodes):
        if node["op"] == "null":
            node["name"] = names.get(node["name"], node["name"])
        else:
            inputs = [nodes[source[0]]["name"] for source in node["inputs"]]
            layer = [name.rpartition(".")[0] for name in inputs if name in layers]
            node["name"] = layer[0] if layer else f"{node['op'].lstrip('_')}_{index}"
    nodes[graph["heads"][0][0]]["name"] = "logits"
    return graph, {name: parameter.list_data()[0].as_in_context(mx.cpu()) for name, parameter in layers.items()}


def load(graph):
    """The symbol of the dict of its JSON."""
    return mx.sym.load_json(json.dumps(graph))


def make_model(net, height, width):
    """The network for images of one size, any number of them, as an `onnx.ModelProto`.

    Batch normalisation is by the running statistics; the masks' interpolations are `Resize` with aligned corners.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32.
    height, width : int
    """
    onnx, _ = import_onnx()
    with _operators(net):
        graph, arrays = compose(net, "images")
    scales = _fix_sizes(graph, (1, 3, height, width))
    proto = _translate(onnx, load(graph), arrays, (height, width))
    for node in proto.node:
        if node.op_type == "Resize":  # the exporter computes its sizes from the batch's; constants are for all runtimes
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
def _operators(net):
    """Have symbols of the network composed with MXNet's operator for each interpolation."""

    def switch(active):
        def apply(block):
            if isinstance(block, Interpolation):
                block.as_operator = active

        return apply

    net.apply(switch(True))
    try:
        yield
    finally:
        net.apply(switch(False))


def _fix_sizes(graph, shape):
    """Give each interpolation of a graph its size as a number; return their scales, by node.

    Scales are float32 and not below the ratio of the sizes: a runtime multiplies and rounds down.
    """
    internals = load(graph).get_internals()
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
def _exporting(onnx):
    """Keep the exporter's notes off stderr, and have it check operators as of the opset that it writes."""
    context, root, silent = onnx.checker.DEFAULT_CONTEXT, logging.getLogger(), logging.NullHandler()
    opsets, disabled = context.opset_imports, root.manager.disable
    context.opset_imports = {"": OPSET}
    root.addHandler(silent)  # without any, `logging.warning` would add one for good
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)
        context.opset_imports = opsets


def _translate(onnx, symbol, arrays, size):
    """The symbol as an `onnx.GraphProto` by MXNet's exporter; its arrays are inputs, beside `images`."""
    # With their values it would take a minute for each 30 million, in lists of Python's numbers.
    names = symbol.list_inputs()
    shapes = [arrays[name].shape if name in arrays else (1, 3) + size for name in names]
    dynamic = [arrays[name].shape if name in arrays else ("batch", 3) + size for name in names]
    exporter = mx.onnx.mx2onnx._export_onnx.MXNetGraph()  # `export_model` takes the newest opset, and no other
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
    del proto.output[:]  # of no shape
    proto.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ("batch", classes)))
    return proto


def _add_arrays(onnx, proto, arrays):
    """Drop the nodes and constants that the output does not need, and make the arrays constants."""
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
