"""Trained parameters that come with the package: the files of the folder `weights`, each with its description."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from ..system.errors import InputError
from . import parameters
from .network import AttentionNet
from .spec import NetworkSpec

_NETWORK = {field.name for field in dataclasses.fields(NetworkSpec)}  # the fields that a description may have


def describe_pretrained(name):
    """The description of the parameters of that name: network, data set, figures, SHA-256.

    Raises
    ------
    InputError
        As `describe_file`.
    """
    path, description = describe_file(_packaged(name))
    if "validation_top1" not in description:
        raise InputError(f"{path}: the description beside it lacks validation_top1: {parameters.INSTALL_AGAIN}")
    return description


def _packaged(name):
    return os.path.join(parameters.FOLDER, name + ".params")


def resolve_path(path):
    """The path of a parameter file: as given, or of the parameters of that name where no such file is."""
    if os.path.isfile(path) or path not in parameters.packaged_names():
        return path
    return _packaged(path)


def describe_file(path):
    """A parameter file as a run has saved it: its path, by `resolve_path`, and its description.

    Raises
    ------
    InputError
        If the file is missing or damaged, or the description is, or does not say what network and data it is of.
    """
    path = resolve_path(path)
    way_out = parameters.INSTALL_AGAIN if parameters.is_packaged(path) else "give parameters as a run has saved them"
    description = parameters.read_description(path)
    if description is None:
        raise InputError(f"{path} has no description beside it: {way_out}")
    network = set(description.get("network", ()))
    if "dataset" not in description or not {"num_layers", "widths", "classes"} <= network <= _NETWORK:
        raise InputError(
            f"{path}: the description beside it does not say of which network and data set it is: {way_out}"
        )
    return path, description


def load_pretrained(net: AttentionNet, devices: Any = None) -> None:
    """Fill a network with the trained parameters that the package has for its specification.

    Parameters
    ----------
    net : AttentionNet
    devices : mx.Context or list of mx.Context, optional
        Where its parameters will be; default: the CPU.

    Raises
    ------
    InputError
        If the package has none; the message lists the calls for which it has some. If they are damaged.
    """
    available = []
    for name in parameters.packaged_names():
        description = describe_pretrained(name)
        spec = NetworkSpec.from_dict(description["network"])
        if spec == net.spec:
            return parameters.load_parameters(net, _packaged(name), devices)
        available.append(f"{_call(spec)} ({description['dataset']}, top-1 {description['validation_top1']:.4f})")
    raise InputError(
        f"no trained parameters are here for {_call(net.spec)}; there are some for {', '.join(available) or 'none'}"
    )


def _call(spec: NetworkSpec) -> str:
    """Return the call of a builder that gives the network of a specification."""
    builder = {"cifar": "get_attention_cifar", "imagenet": "get_attention_net"}[spec.stem]
    named = [
        f"{field.name}={getattr(spec, field.name)!r}"
        for field in dataclasses.fields(spec)
        if field.name not in ("classes", "num_layers", "stem") and getattr(spec, field.name) != field.default
    ]
    return f"{builder}({', '.join([str(spec.classes), str(spec.num_layers), *named])})"
