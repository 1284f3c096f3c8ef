"""Trained parameters that come with the package: the files of the folder `weights`, each with its description."""
import json
import os

from . import parameters
from .errors import InputError
from .options import flag_name
from .specs import PLAIN_VARIANT

_NAMING = ("prefix", "params")  # what a Gluon block takes beside what it is
_POSITIONAL = {"classes", "num_layers"}


def describe(name):
    """The description of the parameters of that name, unchecked: network, data set, figures, SHA-256."""
    with open(os.path.join(parameters.FOLDER, name + ".json"), encoding="utf-8") as handle:
        return json.load(handle)


def resolve(path):
    """The path of a parameter file: as given, or of the parameters of that name where no such file is."""
    if os.path.isfile(path) or path not in parameters.packaged_names():
        return path
    return os.path.join(parameters.FOLDER, path + ".params")


def load(net, builder, devices=None, **network):
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
    network = {name: value for name, value in dict(PLAIN_VARIANT, **network).items() if name not in _NAMING}
    for name in parameters.packaged_names():
        if builder == "get_attention_cifar" and describe(name)["network"] == network:
            path = resolve(name)
            parameters.read_description(path)
            return parameters.load_parameters(net, path, devices)
    raise InputError("no trained parameters are here for %s; there are some for %s"
                     % (_call(builder, network), ", ".join(
                         "%s (%s, top-1 %.4f)" % (_call("get_attention_cifar", told["network"]), told["dataset"],
                                                  told["validation_top1"])
                         for told in map(describe, parameters.packaged_names())) or "none"))


def start_from(path, net, network, dataset, devices):
    """Give a network the parameters of a trained one of the same kind, to be trained on.

    Parameters
    ----------
    path : str
        A parameter file, or the name of one that comes with the package.
    net : AttentionNet
        Initialised on the devices.
    network : dict
        The arguments that built it.
    dataset : str
        What it is to be trained on. The last layer keeps its own parameters where the trained one had another data
        set or other classes.
    devices : list of mx.Context

    Returns
    -------
    str
        What was done, for the log.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of a network of another kind.
    """
    try:
        path = resolve(path)
        told = parameters.read_description(path) or {"network": network, "dataset": dataset}
        for name, theirs in dict(PLAIN_VARIANT, **told["network"]).items():
            if name != "classes" and theirs != network[name]:
                raise InputError("%s is of a network with %s %s, this run's has %s"
                                 % (path, flag_name(name), theirs, network[name]))
        head = (told["dataset"], told["network"]["classes"]) == (dataset, network["classes"])
        parameters.load_parameters(net, path, devices, head)
    except InputError as error:
        raise InputError("--params: %s" % error) from error
    return "starts from %s%s" % (path, "" if head else ", trained on %s: the last layer is drawn anew"
                                 % told["dataset"])


def _call(builder, network):
    """A call of a builder as one would write it."""
    positional = [str(network[name]) for name in ("classes", "num_layers")]
    usual = dict(widths="full", **PLAIN_VARIANT)
    named = ["%s=%r" % (name, network[name]) for name in list(usual) + sorted(set(network) - set(usual) - _POSITIONAL)
             if network[name] != usual.get(name)]
    return "%s(%s)" % (builder, ", ".join(positional + named))
