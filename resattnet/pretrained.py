"""Trained parameters that come with the package: the files of the folder `weights`, each with its description."""
import json
import os

from .errors import InputError
from .parameters import FOLDER, load_parameters, read_description

_PLAIN = {"attention_learning": "arl", "attention": "mixed", "mask": "hourglass"}  # AttentionNet's defaults


def names():
    """The names of the parameters that are here, which `--params` and `Classifier.load` take for a path."""
    return sorted(name[:-len(".params")] for name in os.listdir(FOLDER) if name.endswith(".params"))


def describe(name):
    """The description of the parameters of that name, unchecked: network, data set, figures, SHA-256."""
    with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as handle:
        return json.load(handle)


def resolve(path):
    """The path of a parameter file: as given, or of the parameters of that name where no such file is."""
    return os.path.join(FOLDER, path + ".params") if not os.path.exists(path) and path in names() else path


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
    network = dict(_PLAIN, **network)
    for name in names():
        if builder == "get_attention_cifar" and describe(name)["network"] == network:
            path = resolve(name)
            read_description(path)
            return load_parameters(net, path, devices)
    raise InputError("no trained parameters are here for %s; there are some for %s"
                     % (_call(builder, network), ", ".join(
                         "%s (%s, top-1 %.4f)" % (_call("get_attention_cifar", told["network"]), told["dataset"],
                                                  told["validation_top1"])
                         for told in map(describe, names())) or "none"))


def _call(builder, network):
    """A call of a builder as one would write it."""
    positional = [str(network[name]) for name in ("classes", "num_layers")]
    named = ["%s=%r" % (name, network[name]) for name, plain in dict(widths="full", **_PLAIN).items()
             if network[name] != plain]
    return "%s(%s)" % (builder, ", ".join(positional + named))
