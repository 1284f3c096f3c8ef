"""Describe and load the trained parameters that come with the package."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Tuple

from ..models.network import AttentionNet
from ..models.spec import NetworkSpec
from ..system.errors import InputError
from . import packaged
from .descriptions import read_description
from .parameters import check_kind, load_parameters

_NETWORK_FIELDS = {field.name for field in dataclasses.fields(NetworkSpec)}
_REQUIRED_FIELDS = {"num_layers", "widths", "classes"}  # the others have defaults: earlier versions did not write them


def describe_pretrained(name: str) -> Dict[str, Any]:
    """Return the description of packaged parameters, given by name: network, data set, figures, SHA-256.

    Raises
    ------
    InputError
        As `describe_file`; or if the description has no `validation_top1`.
    """
    path, description = describe_file(packaged.packaged_path(name))
    if "validation_top1" not in description:
        raise InputError(f"{path}: the description beside it lacks validation_top1: {packaged.INSTALL_AGAIN}")
    return description


def describe_file(path: str) -> Tuple[str, Dict[str, Any]]:
    """Return the path of a parameter file that a run has saved, by `packaged.resolve_path`, and its description.

    Raises
    ------
    InputError
        If the file or its description is missing or damaged, or the description does not name the network and the data
        set.
    """
    path = packaged.resolve_path(path)
    advice = packaged.INSTALL_AGAIN if packaged.is_packaged(path) else "give a parameter file that a run saved"
    check_kind(path)
    description = read_description(path)
    if description is None:
        raise InputError(f"{path} has no description beside it: {advice}")
    network = set(description.get("network", ()))
    if "dataset" not in description or not _REQUIRED_FIELDS <= network <= _NETWORK_FIELDS:
        raise InputError(f"{path}: its description does not name the network and the data set: {advice}")
    return path, description


def load_pretrained(net: AttentionNet, devices: Any = None) -> None:
    """Fill a network with the packaged parameters of its specification.

    Parameters
    ----------
    net : AttentionNet
    devices : mx.Context or list of mx.Context, optional
        Where the parameters are put; default: the CPU.

    Raises
    ------
    InputError
        If the package has no parameters for the specification (the message lists the calls for which it has some),
        or they are damaged.
    """
    available = []
    for name in packaged.packaged_names():
        description = describe_pretrained(name)
        spec = NetworkSpec.from_dict(description["network"])
        if spec == net.spec:
            return load_parameters(net, packaged.packaged_path(name), devices)
        available.append(f"{_call(spec)} ({description['dataset']}, top-1 {description['validation_top1']:.4f})")
    raise InputError(
        f"the package has no trained parameters for {_call(net.spec)}, only for {', '.join(available) or 'none'}"
    )


def _call(spec: NetworkSpec) -> str:
    """Return the call of a builder that returns the network of a specification, as text."""
    builder = {"cifar": "get_attention_cifar", "imagenet": "get_attention_net"}[spec.stem]
    named = [
        f"{field.name}={getattr(spec, field.name)!r}"
        for field in dataclasses.fields(spec)
        if field.name not in ("classes", "num_layers", "stem") and getattr(spec, field.name) != field.default
    ]
    return f"{builder}({', '.join([str(spec.classes), str(spec.num_layers), *named])})"
