"""Export a network as Gluon's symbol and parameters, for `mxnet.gluon.SymbolBlock.imports`."""

from __future__ import annotations

import warnings
from typing import Any, Tuple

import numpy as np

from ..machine.mxnet import mx
from ..runtimes.network_graph import compose_graph, load_graph
from ..zoo.parameters import write_whole
from .comparison import Export, compare, compute_logits, write_checked
from .sources import Source
from .targets import TARGETS


def export(source: Source, output: str, tolerance: float) -> Export:
    """Write the network of a parameter file as a symbol."""
    return export_symbol(source.model.net, output, source.images, tolerance)


def export_symbol(net: Any, prefix: str, images: np.ndarray, tolerance: float = TARGETS["symbol"].tolerance) -> Export:
    """Write a network as PREFIX-symbol.json and PREFIX-0000.params, with the input `data`: any image size.

    Parameters
    ----------
    net : AttentionNet or SymbolBlock
        A network, or the graph that `models.graphs.quantize` made from one.
    prefix : str
        First part of the names of both files.
    images : float32 array (N, 3, H, W)
        Images on which the files are compared with the network.
    tolerance : float
        Largest allowed difference of the logits; relative to the largest logit where that is above 1.

    Raises
    ------
    InputError
        If the files cannot be written, or a logit of the network is not finite.
    RuntimeError
        If the logits differ. No file is written, and files that were there before stay.
    """
    symbol, arrays = _compose(net)

    def write(symbol_path: str, params_path: str) -> None:
        write_whole(params_path, lambda path: mx.nd.save(path, arrays))
        with open(symbol_path, "w", encoding="utf-8") as handle:
            handle.write(symbol.tojson())

    def read_logits(symbol_path: str, params_path: str) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MXNet warns that it cannot infer the type of the data
            block = mx.gluon.SymbolBlock.imports(symbol_path, ["data"], params_path)
        return compute_logits(block, images)

    expected = compute_logits(net, images)
    logits = write_checked(prefix, _name_files, write, read_logits, expected, tolerance)
    return Export(_name_files(prefix), compare(logits, expected))


def _name_files(prefix: str) -> Tuple[str, str]:
    return prefix + "-symbol.json", prefix + "-0000.params"


def _compose(net: Any) -> Tuple[Any, dict]:
    """Return the symbol of a network and its arrays, by the names that `SymbolBlock.imports` wants."""
    if isinstance(net, mx.gluon.SymbolBlock):
        symbol = net(mx.sym.var("data", dtype="float32"))
        arrays = {name: parameter.list_data()[0] for name, parameter in net.collect_params().items()}
    else:
        graph, arrays = compose_graph(net, "data")
        symbol = load_graph(graph)
    auxiliary = set(symbol.list_auxiliary_states())
    return symbol, {f"{'aux' if name in auxiliary else 'arg'}:{name}": array for name, array in arrays.items()}
