"""Build faster graphs of a trained network for inference on the CPU, with oneDNN.

Batch normalisation uses its running statistics in these graphs: they cannot be trained.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from typing import Any, Iterator, List

from ..machine.mxnet import mx
from ..system.errors import InputError
from ..system.streams import fill_descriptors

CALIBRATION_IMAGES = 256
# Units whose trained networks classify in INT8 as in float32. MXNet 1.9.1 computes the grouped convolutions of resnext
# wrongly (a single one correlates with float32 by 0.77 to 0.98); why inception is worse than these two is not known.
INT8_UNITS = ("bottleneck", "basic")
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
    convolution stay float32 too: see `_layers_before_first_unit`.

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

    Raises
    ------
    InputError
        If the network has units other than `INT8_UNITS`.
    """
    unit = net.spec.unit if hasattr(net, "spec") else INT8_UNITS[0]
    if unit not in INT8_UNITS:
        raise InputError(
            f"INT8 of a network with `unit={unit}`: a trained one classifies up to a third of the images differently "
            "in MXNet's INT8; use it in float32"
        )
    symbol = _symbol(net)
    with warnings.catch_warnings(), _silent_stderr():
        warnings.simplefilter("ignore")  # MXNet warns that the symbol it loads does not name the type of its data
        block = mx.contrib.quantization.quantize_net_v2(
            _symbol_block(net, symbol),
            quantized_dtype="int8",
            calib_mode="naive",
            calib_data=mx.io.NDArrayIter(images, batch_size=min(BATCH_SIZE, len(images))),
            num_calib_examples=len(images),
            exclude_layers=_layers_before_first_unit(symbol),
            exclude_operators=["elemwise_mul"],
        )
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
    nodes = [node for node in json.loads(symbol.tojson())["nodes"] if node["op"] != "null"]
    first, second = [index for index, node in enumerate(nodes) if node["op"] == "Convolution"][:2]
    return [node["name"] for node in nodes[first + 1 : second]][1:]  # the stem's normalisation joins its convolution


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
