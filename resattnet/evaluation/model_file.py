"""Trained networks: a parameter file, what it is of, and what it does on the images of its data set."""

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np

from ..data import datasets
from ..data.image_set import DataFacts, ImageSet
from ..data.loaders import ArrayLoader
from ..data.transforms import Transform
from ..models import parameters, pretrained
from ..models.graphs import CALIBRATION_IMAGES, fuse, quantize
from ..models.network import build
from ..models.spec import NETWORK_OPTIONS, NetworkSpec
from ..system.devices import choose_devices
from ..system.errors import InputError
from ..system.mxnet import mx
from ..system.options import flag_name
from .metrics import compute_logits


class LoadedModel(NamedTuple):
    """A parameter file, read, and what it is of.

    Attributes
    ----------
    net : AttentionNet
        With the parameters.
    network : NetworkSpec
        The arguments that built it.
    facts : DataFacts
        Of its data set.
    source : dict
        Arguments of `datasets.load_images`: name, data_dir and data_format.
    description : dict
        What the file beside the parameters says; empty if there is none.
    """

    net: mx.gluon.HybridBlock
    network: NetworkSpec
    facts: DataFacts
    source: dict
    description: dict

    @property
    def transform(self):
        """What a test image goes through before the network."""
        return Transform(self.facts.mean, self.facts.std, self.network.classes)

    def images(self, split, download=True):
        """The `datasets.ImageSet` of a split of its data set."""
        return datasets.load_images(split=split, download=download, **self.source)._replace(classes=self.facts.classes)


class TestOutput(NamedTuple):
    """Logits (N, classes) of a parameter file on its test set, and that set, in the same order.

    `mirrored` has the logits of the images mirrored left to right, where these were asked for.
    """

    logits: np.ndarray
    test_set: ImageSet
    mirrored: Any = None


def load_model(path, options, devices):
    """Read a parameter file into the network that it is of.

    Parameters
    ----------
    path : str
        The parameter file, or the name of one that comes with the package.
    options : evaluation.options.ModelFileOptions
        What they leave out is read from the description beside the parameters.
    devices : list of mx.Context

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        If a file is missing or damaged, is of another network, or what is left out has no description.
    """
    path = pretrained.resolve_path(path)
    description = parameters.read_description(path) or {"network": {}}
    known = dict({"attention": NetworkSpec.attention, "mask": NetworkSpec.mask}, **description["network"])
    known.update(dataset=description.get("dataset"), data_format=description.get("data_format", "bin"))
    for name in ("dataset", "data_format") + NETWORK_OPTIONS:
        known[name] = getattr(options, name) or known.get(name)
    missing = [flag_name(name) for name, value in known.items() if value is None]
    if missing:
        raise InputError(f"{path} has no description beside it: give {', '.join(missing)}")
    dataset, data_format = known.pop("dataset"), known.pop("data_format")
    data_dir = options.data_dir or _data_dir(description)
    facts = datasets.describe_data(dataset, data_dir, data_format)
    classes = known.setdefault("classes", len(facts.classes))
    if classes != len(facts.classes):
        raise InputError(f"--dataset {dataset} has {len(facts.classes)} classes, the network of {path} has {classes}")
    if options.classes:
        facts = dataclasses.replace(facts, classes=_read_classes(options.classes, path, classes))
    network = NetworkSpec.from_dict(known)
    net = build(network)
    parameters.load_parameters(net, path, devices)
    net.hybridize(static_alloc=True, static_shape=True)
    return LoadedModel(net, network, facts, dict(name=dataset, data_dir=data_dir, data_format=data_format), description)


def _read_classes(names_path, path, classes):
    """The names of the classes of a parameter file, from a file with one a line."""
    try:
        with open(os.path.expanduser(names_path), encoding="utf-8-sig") as handle:
            names = tuple(line.strip() for line in handle.read().strip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--classes {names_path} cannot be read ({getattr(error, 'strerror', error)})")
    if len(names) != classes:
        raise InputError(
            f"--classes {names_path} has {len(names)} names, the network of {path} has {classes} "
            "classes; give a name a line"
        )
    return names


def open_model(path, options, download=True):
    """A parameter file as `load_model` reads it, its net being the graph that is asked for, and its devices.

    Parameters, and what it raises: see `compute_test_logits`.

    Returns
    -------
    trained : Trained
    devices : list of mx.Context
    """
    devices, _ = choose_devices(options.num_gpus if options.graph == "plain" else 0, options.num_cpus)
    trained = load_model(path, options, devices)
    name, total, count = trained.source["name"], trained.facts.samples["test"], options.corruption_images
    if options.flip and not trained.facts.flip:
        raise InputError(f"--flip 1: a mirrored image of {name} does not show its class; leave it out")
    if count and count > total:
        raise InputError(f"--corruption-images {count}: {name} has {total} test images")
    if options.graph == "fused":
        return trained._replace(net=fuse(trained.net)), devices
    if options.graph == "int8":
        train_set = trained.images("train", download)
        images = calibration_images(train_set, trained.transform, options.calibration_images)
        return trained._replace(net=quantize(trained.net, images)), devices
    return trained, devices


def compute_test_logits(path, options, download=True):
    """`TestOutput` of a parameter file on all test images of its data set.

    Parameters
    ----------
    path : str
        The parameter file.
    options : evaluation.options.TestOptions
        What they leave out is read from the description beside the parameters.
    download : bool
        Whether the data set may be fetched.

    Returns
    -------
    TestOutput

    Raises
    ------
    InputError
        As `load_model`; or if images are to be mirrored that then do not show their class, or more are to be
        corrupted than there are.
    """
    return predict_test_set(*open_model(path, options, download), options, download)


def predict_test_set(trained, devices, options, download=True):
    """`TestOutput` of what `open_model` gave."""
    test_set = trained.images("test", download)
    loader = ArrayLoader(test_set, trained.transform, options.batch_size * len(devices), workers=options.workers)
    logits, mirrored = (
        compute_logits(trained.net, loader.epoch(0), devices, mirror=mirror)[0] if wanted else None
        for mirror, wanted in ((False, True), (True, options.flip))
    )
    return TestOutput(logits, test_set, mirrored)


def calibration_images(train_set, transform, count=None):
    """So many images of a training set, drawn at random but always the same, as the network is given them.

    Parameters
    ----------
    train_set : datasets.ImageSet
    transform : augment.Transform
        That of testing.
    count : int, optional
        Without it `inference.CALIBRATION_IMAGES`, or all if there are fewer.

    Returns
    -------
    float32 array (count, 3, H, W)

    Raises
    ------
    InputError
        If there are not so many.
    """
    total = len(train_set.labels)
    if count and count > total:
        raise InputError(f"--calibration-images {count}: the data set has {total} training images")
    rows = np.random.default_rng(0).permutation(total)[: count or CALIBRATION_IMAGES]
    return transform(train_set.images[rows], train_set.labels[rows])[0]


def _data_dir(description):
    """The folder that training read from, where it exists, else the default: parameters are taken elsewhere."""
    folder = os.path.expanduser(description.get("data_dir", ""))
    return folder if os.path.isdir(folder) else "data"
