"""Save and load parameters: a `.params` file in Gluon's format, with a `.json` description beside it."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
from collections import Counter
from typing import Any, Callable, Dict, Iterator, Mapping, Tuple

from ..data.metadata import ONNX_BEGINS
from ..machine.mxnet import mx
from ..models.network import build
from ..models.spec import STEMS, UNITS, NetworkSpec, attention_net_spec
from ..options.fields import assignment
from ..system.calls import command
from ..system.errors import InputError
from ..system.files import digest, digest_values, json_writer, write_together
from .descriptions import OWN_DIGEST, description_path, finish_save, read_description
from .parameter_files import match_names, read_arrays

__all__ = ["all_finite", "check_kind", "copy_parameters", "load_parameters", "read_description", "save_parameters"]

_HEAD = ("output.weight", "output.bias")
_BIASES = ("output.bias", "dense0_bias")  # ends of the name of the last layer's bias


def save_parameters(net: Any, path: str, description: Mapping[str, Any]) -> None:
    """Write the parameters of a network and, beside them, a description with their SHA-256.

    Parameters
    ----------
    net : gluon.Block
    path : str
        Ends in `.params`; the description has the same name with `.json`.
    description : mapping of str to JSON type
        `network` (`NetworkSpec.to_dict`), `dataset`, figures. Two digests are added.

    Raises
    ------
    OSError
        If the files cannot be written; earlier files of these names remain.
    """
    described = dict(description)

    def write(temporary: str) -> None:
        write_whole(temporary, net.save_parameters)
        described["sha256"] = digest(temporary)
        described[OWN_DIGEST] = digest_values(described, OWN_DIGEST)

    finish_save(path)
    # The parameters come first: the description needs their digest. `read_description` finds the description under its
    # temporary name if the process is killed before the second rename.
    write_together({path: write, description_path(path): json_writer(described)})


def check_kind(path: str) -> None:
    """Raise InputError if a file is an exported network in place of parameters, whatever its name is."""
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        start = file.read(9)
    if start[:1] == ONNX_BEGINS:
        raise InputError(
            f"{path} is an ONNX file: give the parameter file that it was written from (predict, test and serve take "
            "ONNX files whose names end in .onnx)"
        )
    if start[8:] == b"{":  # of the JSON text after eight bytes that hold its length
        raise InputError(
            f"{path} is a .safetensors file: write a parameter file of it by {command('export')} --from-torch {path}"
        )


def write_whole(path: str, save: Callable[[str], None]) -> None:
    """Write a file of arrays by a function of MXNet, which is called with the path.

    Raises
    ------
    OSError
        If the file cannot be written, or not completely.
    """
    open(path, "wb").close()  # an OSError raised here states its reason; MXNet's error does not
    try:
        save(path)
        mx.nd.load(path)  # MXNet reports no error if the disk is full at the end of the file
    except mx.base.MXNetError as error:
        raise OSError(errno.EIO, "it cannot be written completely: is the disk full?", path) from error


def load_parameters(net: Any, path: str, devices: Any, head: bool = True) -> None:
    """Fill a network, initialised or not, from a parameter file.

    Parameters
    ----------
    net : AttentionNet
    path : str
    devices : mx.Context or list of mx.Context
        Where the parameters are put.
    head : bool
        Whether the last layer is loaded too. Without it the network has to be initialised, and the file may belong to
        a network with other classes.

    Raises
    ------
    InputError
        If the file cannot be read, or belongs to another network; the message names the network that it fits.
    """
    arrays = read_arrays(path)
    names = match_names(arrays, net)
    own = net._collect_params_with_prefix()
    loaded = [name for name in own if head or name not in _HEAD]
    if names is None or any(arrays[names[name]].shape != own[name].shape for name in loaded):
        fitting = _fitting_network({name: array.shape for name, array in arrays.items()})
        raise InputError(f"{path} holds the parameters of another network: {fitting}")
    for name in loaded:
        if head:
            own[name]._load_init(arrays[names[name]], devices, cast_dtype=True)
        else:
            own[name].set_data(arrays[names[name]].astype(own[name].dtype))


def _shapes(net: Any) -> Dict[str, Tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in net._collect_params_with_prefix().items()}


def _fitting_network(found: Mapping[str, Tuple[int, ...]]) -> str:
    """Return the end of a message: the network whose parameters have these names and shapes.

    The local mask and the attention types have the parameters of the hourglass, so only two masks are tried.
    """
    classes = next((shape[0] for name, shape in found.items() if name.endswith(_BIASES)), 0)
    if classes:
        for kind in _fitting_kinds(classes, found):
            for mask, num_layers in itertools.product(("hourglass", "none"), attention_net_spec):
                spec = dataclasses.replace(kind, num_layers=num_layers, mask=mask)
                net = build(spec)
                names = match_names(found, net)
                if names and all(found[names[name]] == shape for name, shape in _shapes(net).items()):
                    return f"it fits {_describe(spec)} and {classes} classes"
    return "no network of this package fits it"


def _describe(spec: NetworkSpec) -> str:
    """Return depth and widths of a network, and its stem, units and mask where they are not the default."""
    shown = {"num_layers": spec.num_layers, "widths": spec.widths}
    for name in ("stem", "unit", "mask"):
        if getattr(spec, name) != getattr(NetworkSpec, name):
            shown[name] = getattr(spec, name)
    return " ".join(assignment(*each) for each in shown.items())


def _fitting_kinds(classes: int, found: Mapping[str, Tuple[int, ...]]) -> Iterator[NetworkSpec]:
    """Yield the stems, widths and units whose network without attention modules is a part of a network."""
    shapes = Counter(found.values())
    for stem, row in STEMS.items():
        for widths, unit in itertools.product(row.widths, UNITS):
            spec = NetworkSpec(classes, stem=stem, widths=widths, unit=unit)
            own = Counter(_shapes(build(spec, depth=spec.depth._replace(modules=(0, 0, 0)))).values())
            if all(count <= shapes[shape] for shape, count in own.items()):
                yield spec


def copy_parameters(source: Any, target: Any) -> None:
    """Give a network, initialised or not, new arrays with the values of another network with the same layers.

    They are on the devices of the other network, and have the types of the network that gets them.
    """
    own = target._collect_params_with_prefix()
    for name, parameter in source._collect_params_with_prefix().items():
        value = parameter.list_data()[0].astype(own[name].dtype, copy=False)
        own[name]._init_impl(value, parameter.list_ctx())


def all_finite(net: Any) -> bool:
    """Return whether no parameter of a network has an infinite value or a NaN."""
    arrays = [parameter.list_data()[0] for parameter in net.collect_params().values()]
    parts = []
    for dtype in {array.dtype for array in arrays}:  # a float16 network keeps float32 in batch normalisation
        same = [array for array in arrays if array.dtype == dtype]
        # MXNet 1.9.1 crashes if one call is given more than 200 arrays.
        parts += [same[start : start + 200] for start in range(0, len(same), 200)]
    return all(mx.nd.multi_all_finite(*part, num_arrays=len(part)).asscalar() for part in parts)
