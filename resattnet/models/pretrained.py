"""Trained parameters that come with the package: the files of the folder `weights`, each with its description."""

import os

from ..system.errors import InputError
from . import parameters
from .spec import DEFAULT_VARIANT, NETWORK_OPTIONS

_NAMING = ("prefix", "params")  # what a Gluon block takes beside what it is
_POSITIONAL = {"classes", "num_layers"}
_NETWORK = {"classes", "stage_strides"} | set(NETWORK_OPTIONS)  # what a description may have of a network


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


def load_pretrained(net, builder, devices=None, **network):
    """Give a network the parameters that are here for it.

    Parameters
    ----------
    net : AttentionNet
    builder : str
        The function that built it.
    devices : mx.Context or list of mx.Context, optional
        Where its parameters will be; default: the CPU.
    **network
        The arguments it was built with.

    Raises
    ------
    InputError
        If there are none, with the calls for which there are; or if they are damaged.
    """
    network = {name: value for name, value in dict(DEFAULT_VARIANT, **network).items() if name not in _NAMING}
    for name in parameters.packaged_names():
        if builder == "get_attention_cifar" and describe_pretrained(name)["network"] == network:
            return parameters.load_parameters(net, _packaged(name), devices)
    raise InputError(
        "no trained parameters are here for {}; there are some for {}".format(
            _call(builder, network),
            ", ".join(
                (
                    f"{_call('get_attention_cifar', told['network'])} ({told['dataset']}, top-1 "
                    f"{told['validation_top1']:.4f})"
                )
                for told in map(describe_pretrained, parameters.packaged_names())
            )
            or "none",
        )
    )


def _call(builder, network):
    """A call of a builder as one would write it."""
    positional = [str(network[name]) for name in ("classes", "num_layers")]
    usual = dict(widths="full", **DEFAULT_VARIANT)
    named = [
        f"{name}={network[name]!r}"
        for name in list(usual) + sorted(set(network) - set(usual) - _POSITIONAL)
        if network[name] != usual.get(name)
    ]
    return f"{builder}({', '.join(positional + named)})"
