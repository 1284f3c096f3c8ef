"""Read and write networks as `.safetensors`: arrays by PyTorch's names, and metadata that say all that inference needs.

Only NumPy and safetensors are needed. The metadata are texts, and values of JSON types as JSON texts, under the names
that exported ONNX files have: `network` holds the `NetworkSpec`; `classes`, `mean`, `std`, `image_size`, `geometry` and
so on the `DataFacts`; `dataset` the name of the data set.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from .. import __version__
from ..data.facts import DataFacts
from ..data.metadata import from_texts, to_texts
from ..models.spec import NetworkSpec
from ..system.errors import InputError, list_some, reason
from ..system.files import write_atomically, writing
from . import import_package

ENDING = ".safetensors"
_NEEDED = ("network", "classes", "mean", "std", "image_size", "dataset")
_OF_WEIGHTS = ("description", "params_sha256", "top1")
_TYPES = ("F64", "F32", "F16")
_COUNTERS = ".num_batches_tracked"  # of PyTorch's batch normalisation, which our networks do not use

Shapes = Mapping[str, Tuple[int, ...]]


class WeightsFile(NamedTuple):
    """The contents of a `.safetensors` file.

    Attributes
    ----------
    arrays : dict of str to float32 array
        Parameters and running statistics by PyTorch's names.
    spec : NetworkSpec
    facts : DataFacts
    metadata : dict of str to JSON type
        All metadata of the file.
    """

    arrays: Dict[str, np.ndarray]
    spec: NetworkSpec
    facts: DataFacts
    metadata: Dict[str, Any]


def describe(spec: NetworkSpec, facts: DataFacts, metadata: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the metadata of a file as values of JSON types.

    Parameters
    ----------
    spec : NetworkSpec
    facts : DataFacts
    metadata : mapping of str to JSON type
        `dataset` must be there. Other values are kept, unless the specification or the facts have them.

    Raises
    ------
    InputError
        If `dataset` is missing, the image size is not known, or the number of classes differs.
    """
    known = facts.to_dict()
    known["dataset_title"] = known.pop("title")
    found = dict(metadata, layout="NCHW", channels="RGB", resattnet_version=__version__, network=spec.to_dict())
    found.update(known)
    found = {name: value for name, value in found.items() if value is not None}
    if "dataset" not in found:
        raise InputError("`metadata`: give `dataset`, the name of the data set")
    _check_facts(spec, facts)
    return found


def write_file(path: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays and the metadata of `describe`.

    Raises
    ------
    InputError
        If safetensors is not installed, or the file cannot be written; an earlier file stays then.
    """
    with writing(path):
        write_atomically(path, lambda temporary: write_contents(temporary, arrays, metadata))


def write_contents(path: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write what `write_file` writes, in place: for a caller that gives the file its name afterwards.

    Raises
    ------
    InputError
        If safetensors is not installed.
    OSError
        If the file cannot be written.
    """
    safetensors = import_package("safetensors.numpy")
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    contents = safetensors.save(contiguous, to_texts(metadata))
    with open(path, "wb") as handle:
        handle.write(contents)


def read_file(path: str) -> WeightsFile:
    """Read a file that the command `export` or `resattnet.torch.save` wrote.

    Raises
    ------
    InputError
        If safetensors is not installed, the file cannot be read, is not complete, lacks metadata (the message says
        which), or has arrays that are not of floating-point numbers.
    """
    safetensors = import_package("safetensors")
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: that is a folder; give the name of a {ENDING} file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="np") as handle:
            metadata = handle.metadata() or {}
            _check_metadata(path, metadata)
            names = [name for name in handle.keys() if not name.endswith(_COUNTERS)]
            _check_types(path, {name: handle.get_slice(name).get_dtype() for name in names})
            arrays = {name: handle.get_tensor(name).astype(np.float32, copy=False) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is not a complete {ENDING} file ({reason(error)})") from error
    try:
        values = from_texts(metadata)
        spec = NetworkSpec.from_dict(_as_object(values["network"]))
        facts = DataFacts.from_dict({**values, "title": values.get("dataset_title", "")})
        _check_facts(spec, facts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return WeightsFile(arrays, spec, facts, values)


def check_arrays(path: str, found: Shapes, needed: Shapes) -> None:
    """Raise InputError if the arrays of a file are not those that its network needs, by name and shape.

    Parameters
    ----------
    path : str
        The file, for the message.
    found, needed : mapping of str to tuple of int
        The shape of each array.
    """
    faults = [f"no {name}, which its network has" for name in needed if name not in found]
    faults += [f"{name}, which its network does not have" for name in found if name not in needed]
    faults += [
        f"{name} of shape {_written(found[name])}, in its network {_written(shape)}"
        for name, shape in needed.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    if faults:
        raise InputError(f"{path} does not hold the network of its metadata: it has {list_some(faults, 1)}")


def is_figure(name: str) -> bool:
    """Return whether metadata of this name are figures of validation, as `validation_top1`."""
    return name.startswith("validation_")


def without_figures(metadata: Mapping[str, Any]) -> Dict[str, Any]:
    """Return metadata without what is true only of the weights that they came with: digest, accuracy, training."""
    return {name: value for name, value in metadata.items() if name not in _OF_WEIGHTS and not is_figure(name)}


def _check_metadata(path: str, metadata: Mapping[str, str]) -> None:
    missing: List[str] = [name for name in _NEEDED if name not in metadata]
    if missing:
        raise InputError(
            f"{path}: not a {ENDING} file of this project (its metadata has no {', '.join(missing)}): write it by the "
            "command export, or by resattnet.torch.save"
        )


def _check_types(path: str, types: Mapping[str, str]) -> None:
    for name, kind in types.items():
        if kind not in _TYPES:
            raise InputError(f"{path}: {name} is of type {kind}: write it in float32, as resattnet.torch.save does")


def _check_facts(spec: NetworkSpec, facts: DataFacts) -> None:
    if len(facts.classes) != spec.classes:
        raise InputError(f"there are {len(facts.classes)} class names, the network has {spec.classes} classes")
    if facts.image_size is None:
        raise InputError("the image size is not known")


def _as_object(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("the network in the metadata is not a JSON object")
    return value


def _written(shape: Tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "no axes"
