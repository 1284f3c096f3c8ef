"""Export parameters in float16: files that every command reads, at half the size."""

from __future__ import annotations

import os
from typing import Tuple

import numpy as np

from ..machine.mxnet import mx
from ..models.network import build
from ..prediction.model_file import LoadedModel
from ..system.errors import InputError
from ..zoo import parameters
from .comparison import Export, compare, compute_logits, write_checked
from .metadata import model_description
from .sources import Source
from .targets import TARGETS


def export(source: Source, output: str, tolerance: float) -> Export:
    """Write a parameter file in float16.

    Raises
    ------
    InputError
        As `export_float16`; or if the output is the parameter file itself.
    """
    path, _ = name_files(output)
    if os.path.exists(path) and os.path.samefile(path, source.path):
        raise InputError(
            f"`output={source.options.output}`: that would replace {source.path} itself; give another name"
        )
    return export_float16(source.model, output, source.images, tolerance)


def export_float16(
    model: LoadedModel, prefix: str, images: np.ndarray, tolerance: float = TARGETS["float16"].tolerance
) -> Export:
    """Write the parameters of a model in float16 as PREFIX.params, with their description as PREFIX.json.

    Networks that load the file compute in float32. The description has no data folder where the data set is one that
    the package can download.

    Parameters
    ----------
    model : LoadedModel
    prefix : str
        Both paths without their endings.
    images : float32 array (N, 3, H, W)
        Images on which the file is compared with the network.
    tolerance : float
        Largest allowed difference of the logits; relative to the largest logit where that is above 1.

    Raises
    ------
    InputError
        If a parameter is too large for float16, the files cannot be written, or a logit of the network is not finite.
    RuntimeError
        If the logits differ by more than rounding to float16 explains. No file is written, and files that were there
        before stay.
    """
    expected = compute_logits(model.net, images)
    half = build(model.network)
    parameters.copy_parameters(model.net, half)
    half.cast("float16")
    if not parameters.all_finite(half):
        raise InputError("`to=float16`: a parameter exceeds 65504, the largest float16 number")

    def write(params_path: str, _: str) -> None:
        parameters.save_parameters(half, params_path, dict(model_description(model), dtype="float16"))

    def read_logits(params_path: str, _: str) -> np.ndarray:
        net = build(model.network)
        parameters.load_parameters(net, params_path, [mx.cpu()])
        return compute_logits(net, images)

    logits = write_checked(prefix, name_files, write, read_logits, expected, tolerance)
    return Export(name_files(prefix), compare(logits, expected))


def name_files(prefix: str) -> Tuple[str, str]:
    """Return the paths of a parameter file and its description, without whose endings both are `prefix`."""
    return prefix + ".params", prefix + ".json"
