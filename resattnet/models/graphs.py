"""Build faster graphs of a trained network for inference on the CPU, with oneDNN.

Batch normalisation uses its running statistics in these graphs: they cannot be trained.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import warnings
from typing import Any, Dict, Iterator, List

from ..machine.mxnet import mx
from ..system.streams import fill_descriptors

CALIBRATION_IMAGES = 256
BATCH_SIZE = 64  # images per batch of the calibration


def fuse(net: Any) -> Any:
    """Return a graph of the network in which oneDNN computes neighbouring layers as one.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32, on the CPU. The network is not changed; the graph shares its parameters.

    Returns
    -------
    SymbolBlock
        Gives the same logits, up to rounding. It can be exported once it has been called.
    """
    block = _symbol_block(net, _symbol(net))
    block.hybridize(backend="MKLDNN", static_alloc=True, static_shape=True)
    return block


def quantize(net: Any, images: Any) -> Any:
    """Return a graph of the network in INT8: its convolutions, normalisations, ReLUs, poolings and dense layer.

    The sigmoid of the masks, their interpolation and their product with the trunk stay float32: the product in INT8
    costs accuracy and sends the normalisation after it to oneDNN's slowest kernel. The layers before the second
    convolution stay float32 too, and so do grouped convolutions: see `_layers_before_first_unit` and
    `_grouped_convolutions`. Post-activation units need a correction: see `_fit_ranges_of_sums`.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32, on the CPU. The network is not changed.
    images : float32 array (N, 3, H, W)
        Training images, normalised as for a test. The range of each layer is measured on them.

    Returns
    -------
    SymbolBlock
        Has parameters of its own. It can be exported once it has been called.
    """
    symbol = _symbol(net)
    with warnings.catch_warnings(), _silent_stderr():
        warnings.simplefilter("ignore")  # MXNet warns that the symbol it loads does not name the type of its data
        block = mx.contrib.quantization.quantize_net_v2(
            _symbol_block(net, symbol),
            quantized_dtype="int8",
            calib_mode="naive",
            calib_data=mx.io.NDArrayIter(images, batch_size=min(BATCH_SIZE, len(images))),
            num_calib_examples=len(images),
            exclude_layers=_layers_before_first_unit(symbol) + _grouped_convolutions(symbol),
            exclude_operators=["elemwise_mul"],
        )
        block = _fit_ranges_of_sums(block)
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def _symbol(net: Any) -> Any:
    return net(mx.sym.var("data", dtype="float32"))


def _symbol_block(net: Any, symbol: Any) -> Any:
    data = mx.sym.var("data", dtype="float32")
    return mx.gluon.SymbolBlock(symbol, data, params=net.collect_params())


def _layers_before_first_unit(symbol: Any) -> List[str]:
    """Return the names of the layers between the stem's normalisation and the second convolution.

    oneDNN fuses the stem's convolution, normalisation and ReLU into one operator, which is then float32 as well.

    Training leaves the channels of the stem with ranges that differ a thousandfold, until the normalisation of the
    first unit brings them to one range. INT8 has one scale for a whole array, which rounds the small channels to 0.
    """
    nodes = _operators(symbol)
    first, second = [index for index, node in enumerate(nodes) if node["op"] == "Convolution"][:2]
    return [node["name"] for node in nodes[first + 1 : second]][1:]  # the stem's normalisation joins its convolution


def _grouped_convolutions(symbol: Any) -> List[str]:
    """Return the names of the convolutions in groups, as ResNeXt units have them.

    They are not always right in INT8: with 4 or 8 channels in a group, single ones have correlated with float32 by
    0.77 to 0.98 only. On an EPYC with AVX2 and with random weights, it is 0.999, as for the others.
    """
    convolutions = [node for node in _operators(symbol) if node["op"] == "Convolution"]
    return [node["name"] for node in convolutions if int(node["attrs"].get("num_group", 1)) > 1]


def _fit_ranges_of_sums(block: Any) -> Any:
    """Return an INT8 graph in which no convolution fused with a sum and its ReLU saturates at half of its range.

    oneDNN writes the output of such an operator over the other term of the sum, in the type of that term. MXNet 1.9.1
    takes the scale of the output for that of unsigned numbers, 255 for the range. Where the term is signed, such as
    the projected shortcut of a post-activation unit, all above 127 is cut off: the upper half of the range. With twice
    the range, the largest output is 127, as in any signed array.

    Pre-activation units have no ReLU after the sum. A graph without this operator is returned as it is.
    """
    graph = json.loads(block(mx.sym.var("data")).tojson())
    sums = [node["attrs"] for node in graph["nodes"] if _is_int8_sum_with_relu(node)]
    if not sums:
        return block
    for attributes in sums:
        for key in ("min_calib_range", "max_calib_range"):
            attributes[key] = repr(2 * float(attributes[key]))
    changed = mx.gluon.SymbolBlock(mx.sym.load_json(json.dumps(graph)), mx.sym.var("data"))
    with tempfile.TemporaryDirectory() as folder:  # only a load from a file takes over the types of the parameters
        path = os.path.join(folder, "int8.params")
        block.collect_params().save(path)
        changed.collect_params().load(path, cast_dtype=True, dtype_source="saved")
    return changed


def _is_int8_sum_with_relu(node: Dict[str, Any]) -> bool:
    attributes = node.get("attrs", {})
    wanted = attributes.get("quantized") == attributes.get("with_postsum_act") == "true"
    return wanted and node["op"] == "_sg_mkldnn_conv"


def _operators(symbol: Any) -> List[Dict[str, Any]]:
    """Return the nodes of a graph that compute."""
    return [node for node in json.loads(symbol.tojson())["nodes"] if node["op"] != "null"]


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what MXNet's library writes to stderr while it quantises; its errors are exceptions."""
    fill_descriptors()
    if sys.stderr:
        sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
