"""Bring weights back from PyTorch: a parameter file of this package from a `.safetensors` file."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Tuple

import numpy as np

from ..machine.mxnet import mx
from ..models.network import build
from ..system.errors import InputError
from ..torch.names import gluon_arrays, torch_name
from ..torch.weights_file import ENDING, WeightsFile, check_arrays, is_figure, read_file
from ..zoo import parameters
from .comparison import compute_logits, write_checked
from .float16 import name_files
from .sources import check_finite_parameters, noise
from .targets import TARGETS
from .torch_weights import OF_DATA

_ENDING = ".params"
_DEFAULT_SUFFIX = "-torch"  # in the name of the output, so that the exported parameters are not replaced


def import_file(path: str, output: Optional[str] = None) -> Tuple[Tuple[str, str], WeightsFile]:
    """Write a parameter file, with its description, that holds the weights of a `.safetensors` file bit for bit.

    Parameters
    ----------
    path : str
        A file that the command `export --to torch` or `resattnet.torch.save` wrote.
    output : str, optional
        Ends in `.params`. Default: the name of `path` without its ending, and `-torch.params`.

    Returns
    -------
    paths : (str, str)
        The written files.
    file : WeightsFile
        What was read.

    Raises
    ------
    InputError
        As `weights_file.read_file`; or if the arrays do not fit the network or are not finite, a logit is not finite,
        or the files cannot be written.
    RuntimeError
        If the written file holds other numbers. In all cases no file is left, and earlier files stay.
    """
    try:
        if path.endswith(_ENDING):
            raise InputError(f"{path} is a parameter file of this package: give a {ENDING} file")
        file = read_file(path)
        net = _fill(file, path)
    except InputError as error:
        raise InputError(f"`from_torch`: {error}") from error
    images = noise(*file.facts.image_size or (32, 32))
    description = _description(file)

    def write(params_path: str, _: str) -> None:
        parameters.save_parameters(net, params_path, description)

    def read_logits(params_path: str, _: str) -> np.ndarray:
        again = build(file.spec)
        parameters.load_parameters(again, params_path, [mx.cpu()])
        found = gluon_arrays(again)
        if not all(np.array_equal(array, found[name]) for name, array in file.arrays.items()):
            raise RuntimeError(f"{path} could not be written as parameters: they have other numbers")
        return compute_logits(again, images)

    prefix = output[: -len(_ENDING)] if output else os.path.splitext(path)[0] + _DEFAULT_SUFFIX
    expected, tolerance = compute_logits(net, images), TARGETS["torch"].tolerance
    write_checked(prefix, name_files, write, read_logits, expected, tolerance, prefix + _ENDING)
    return name_files(prefix), file


def _fill(file: WeightsFile, path: str) -> Any:
    """Return the network of a file with its arrays."""
    net = build(file.spec)
    own = {torch_name(name): parameter for name, parameter in net._collect_params_with_prefix().items()}
    check_arrays(
        path,
        {name: array.shape for name, array in file.arrays.items()},
        {name: parameter.shape for name, parameter in own.items()},
    )
    for name, parameter in own.items():
        parameter._load_init(mx.nd.array(file.arrays[name], dtype="float32"), [mx.cpu()])
    check_finite_parameters(net, path)
    return net


def _description(file: WeightsFile) -> Dict[str, Any]:
    """Return the description of the parameters: that of the exported ones, with what was said of the weights since."""
    found = file.metadata
    kept = found.get("description", {})
    description: Dict[str, Any] = dict(kept) if isinstance(kept, dict) else {}
    description.update((name, value) for name, value in found.items() if name in OF_DATA or is_figure(name))
    description.setdefault("data_format", "bin")
    return dict(description, network=file.spec.to_dict(), dataset=found["dataset"], data=file.facts.to_dict())
