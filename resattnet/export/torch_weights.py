"""Export a network as `.safetensors`, for PyTorch: `resattnet.torch.load`."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

import numpy as np

from ..torch import import_package
from ..torch.names import gluon_arrays
from ..torch.weights_file import describe, write_contents
from ..zoo.descriptions import OWN_DIGEST
from .comparison import Export, compare, compute_logits, write_checked
from .metadata import model_description, source_metadata
from .sources import Source

OF_DATA = ("data_format", "data_dir", "splits")  # parts of a description that are true of the data, not of the weights
# Parts of a description that are metadata of their own, or of no other file.
_ELSEWHERE = (*OF_DATA, "network", "dataset", "data", "dtype", "sha256", OWN_DIGEST)


def export(source: Source, output: str, tolerance: float) -> Export:
    """Write the weights of a parameter file for PyTorch, with the network and the data facts as metadata.

    The file is checked by the PyTorch network that is built from it.

    Raises
    ------
    InputError
        If PyTorch or safetensors is missing, the file cannot be written, or a logit of the network is not finite.
    RuntimeError
        If the logits differ. No file is written, and a file that was there before stays.
    """
    import_package("torch")
    from ..torch import network_file

    net = source.model.net
    expected = compute_logits(net, source.images)
    metadata, arrays = _metadata(source), gluon_arrays(net)

    def read_logits(temporary: str) -> np.ndarray:
        return network_file.load(temporary).compute(source.images)

    logits = write_checked(
        output,
        lambda name: (name,),
        lambda temporary: write_contents(temporary, arrays, metadata),
        read_logits,
        expected,
        tolerance,
    )
    return Export((output,), compare(logits, expected))


def _metadata(source: Source) -> Dict[str, Any]:
    """Return what ONNX files say, all data facts, and the rest of the description of the parameters."""
    model, described = source.model, model_description(source.model)
    height, width = model.image_size
    facts = dataclasses.replace(model.facts, classes=tuple(source.classes), image_size=(height, width))
    more = {name: described[name] for name in OF_DATA if name in described}
    rest = {name: value for name, value in described.items() if name not in _ELSEWHERE}
    return describe(model.network, facts, {**source_metadata(source), **more, "description": rest})
