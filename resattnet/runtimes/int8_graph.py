"""Make the INT8 form of an ONNX model by NNCF's post-training quantisation, as both engines compute it fast."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from typing import Any, Dict, Iterator, List

import numpy as np

from ..system.errors import InputError, reason
from .engines import open_session
from .onnx_graph import import_onnx

BATCH_SIZE = 64  # images per batch of the calibration
_NO_STATISTICS = "NNCF_CI"  # with this variable, NNCF does not report its use to its makers


def import_nncf() -> Any:
    """Return the package `nncf`.

    Raises
    ------
    InputError
        If it cannot be imported; the message says how to install it.
    """
    try:
        with _silent():
            import nncf
    except ImportError as error:
        raise InputError(
            f"`to=int8-onnx`: nncf cannot be imported ({reason(error)}): python -m pip install -e '.[int8]'"
        ) from error
    return nncf


def quantize_model(model: Any, images: np.ndarray) -> Any:
    """Return a model in INT8, with QuantizeLinear and DequantizeLinear nodes.

    Batch normalisation is folded into the convolution before it first: INT8 has one scale for the weights of a
    channel, and the engines join a convolution and the nodes beside it only without a normalisation between them. What
    `float32_layers` names stays float32, and so do interpolation and sigmoid, which NNCF leaves.

    Parameters
    ----------
    model : onnx.ModelProto
        Float32, as `onnx_graph.make_model` makes it. It is not changed.
    images : float32 array (N, 3, H, W)
        Training images, normalised as for a test. The range of each layer is measured on them.

    Raises
    ------
    InputError
        If a package is missing.
    """
    nncf = import_nncf()
    folded = _fold_normalisation(model)
    batches = [{"images": images[start : start + BATCH_SIZE]} for start in range(0, len(images), BATCH_SIZE)]
    with _silent():
        quantized = nncf.quantize(
            folded,
            nncf.Dataset(batches),
            subset_size=len(batches),
            ignored_scope=nncf.IgnoredScope(names=float32_layers(folded)),
        )
    _store_whole_numbers(quantized.graph)
    return quantized


def float32_layers(model: Any) -> List[str]:
    """Return the names of the nodes before the second convolution of a folded model, which stay float32.

    Training leaves the channels of the stem with ranges that differ a thousandfold, until the normalisation of the
    first unit brings them to one range. INT8 has one scale for a whole array, which rounds the small channels to 0.
    """
    nodes = list(model.graph.node)
    _, second = [index for index, node in enumerate(nodes) if node.op_type == "Conv"][:2]
    return [node.name for node in nodes[:second]]


def _fold_normalisation(model: Any) -> Any:
    """Return a model in which onnxruntime has joined convolutions with the batch normalisation after them."""
    onnx, onnxruntime = import_onnx()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "folded.onnx")

        def set_up(settings: Any) -> None:
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            settings.optimized_model_filepath = path

        open_session(onnxruntime, model.SerializeToString(), set_up)
        folded = onnx.load(path)
    del folded.opset_import[:]  # onnxruntime names all that it knows
    folded.opset_import.extend(model.opset_import)
    return folded


def _store_whole_numbers(graph: Any) -> None:
    """Store the weights of a quantised graph as int8 and the biases as int32, in place.

    NNCF leaves both as float32, with nodes that round the weights at the start. As whole numbers they take a quarter
    of the file, and onnxruntime computes a convolution in INT8 only if its bias is stored so.
    """
    (onnx,) = import_onnx("onnx")
    arrays: Dict[str, np.ndarray] = {part.name: onnx.numpy_helper.to_array(part) for part in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    whole: Dict[str, np.ndarray] = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in arrays:
            whole[node.output[0]] = _rounded(node, *(arrays[name] for name in node.input))
            continue
        if node.op_type in ("Conv", "Gemm") and len(node.input) == 3:
            sources = [made.get(name) for name in node.input[:2]]
            if all(source is not None and source.op_type == "DequantizeLinear" for source in sources):
                bias = node.input[2]
                of_images, of_weights = (arrays[source.input[1]] for source in sources if source)
                scale = np.broadcast_to(of_images * of_weights, arrays[bias].shape).astype(np.float32)
                # Named by the node, since onnxruntime stores equal biases once, and their scales differ.
                parts = [f"{node.name}_bias_{part}" for part in ("int32", "scale", "zero_point")]
                limits = np.iinfo(np.int32)
                steps = np.clip(np.rint(arrays[bias] / scale.astype(np.float64)), limits.min, limits.max)
                whole.update(zip(parts, (steps.astype(np.int32), scale, np.zeros(scale.shape, np.int32))))
                node.input[2] = f"{node.name}_bias_float32"
                nodes.append(
                    onnx.helper.make_node("DequantizeLinear", parts, [node.input[2]], name=node.input[2], axis=0)
                )
        nodes.append(node)
    nodes = [_copy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in node.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in whole.items())


def _copy(node: Any) -> Any:
    """Return a copy that stays when the graph of the node drops it."""
    copy = type(node)()
    copy.CopyFrom(node)
    return copy


def _rounded(node: Any, weights: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> np.ndarray:
    """Return constant weights as a QuantizeLinear node rounds them, given its inputs."""
    if scale.ndim:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [1] * weights.ndim
        shape[axis] = -1
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    limits = np.iinfo(zero_point.dtype)
    return np.clip(np.rint(weights / scale) + zero_point, limits.min, limits.max).astype(zero_point.dtype)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Discard what NNCF prints, and have it report nothing to its makers; its errors are exceptions."""
    before, disabled = os.environ.get(_NO_STATISTICS), logging.root.manager.disable
    os.environ[_NO_STATISTICS] = "1"
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if before is None:
            del os.environ[_NO_STATISTICS]
        else:
            os.environ[_NO_STATISTICS] = before
