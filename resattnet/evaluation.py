"""Measures of a network over a data set: every sample exactly once."""
import os
from typing import NamedTuple

import numpy as np

from . import datasets, parameters
from ._mxnet import mx
from .augment import Transform
from .devices import choose_devices
from .errors import InputError
from .inference import CALIBRATION_IMAGES, fused, quantized
from .loaders import ArrayLoader
from .network import get_attention_cifar
from .options import flag_name


class Evaluation(NamedTuple):
    """What a network did on a data set.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, in nats.
    top1, top5 : float
        Share of the samples whose label is the most probable class, is among the five most probable.
    confusion : int64 array (classes, classes)
        Samples of each true class (row) by predicted class (column).
    """

    loss: float
    top1: float
    top5: float
    confusion: np.ndarray

    @property
    def samples(self):
        """How many samples were seen."""
        return int(self.confusion.sum())

    @property
    def class_accuracy(self):
        """Top-1 of each class, float array (classes,); NaN for a class without samples."""
        counts = self.confusion.sum(axis=1)
        return np.divide(self.confusion.diagonal(), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def split_batch(images, labels, devices, dtype="float32"):
    """Put the parts of a batch on the devices, as even as they come.

    Parameters
    ----------
    images : array (N, C, H, W)
    labels : array (N,) or (N, classes)
    devices : list of mx.Context
    dtype : str
        Of the images on the devices.

    Returns
    -------
    list of (images, labels)
        One pair of NDArrays per device; fewer where N is smaller than their number.
    """
    devices = devices[:len(images)]
    parts = (mx.gluon.utils.split_and_load(part, devices, even_split=False)
             for part in (mx.nd.array(images, dtype=dtype), mx.nd.array(labels, dtype=labels.dtype)))
    return list(zip(*parts))


def evaluate(net, loader, devices, dtype="float32", watch=None):
    """Loss, top-1, top-5 and confusion of a network over all samples of a loader.

    Parameters
    ----------
    net : HybridBlock
        Gives logits (N, classes).
    loader : iterable of (images, int labels)
    devices : list of mx.Context
        Where `net` is; each batch is split over them.
    dtype : str
        What the network computes in.
    watch : callable, optional
        Called with no argument before each batch; it may raise to leave.

    Returns
    -------
    Evaluation
    """
    logits, labels = [], []
    for images, batch_labels in loader:
        if watch:
            watch()
        outputs = [net(part) for part, _ in split_batch(images, batch_labels, devices, dtype)]
        logits.append(np.concatenate([output.asnumpy() for output in outputs]))
        labels.append(batch_labels)
    return measure(np.concatenate(logits), np.concatenate(labels))


def measure(logits, labels):
    """Evaluation of logits (N, classes) against int labels (N,); of equal logits the lower class comes first."""
    logits = logits.astype(np.float64)
    count, classes = logits.shape
    ranking = np.argsort(-logits, axis=1, kind="stable")
    hits = ranking == labels[:, None]
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(count), labels]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, ranking[:, 0]), 1)
    return Evaluation(float(loss.mean()), float(hits[:, 0].mean()), float(hits[:, :5].any(axis=1).mean()), confusion)


class Trained(NamedTuple):
    """A parameter file, read, and what it is of.

    Attributes
    ----------
    net : AttentionNet
        With the parameters.
    network : dict
        The arguments that built it.
    facts : datasets.DataSet
        Of its data set.
    source : dict
        Arguments of `datasets.load`: name, data_dir and data_format.
    description : dict
        What the file beside the parameters says; empty if there is none.
    """

    net: mx.gluon.HybridBlock
    network: dict
    facts: datasets.DataSet
    source: dict
    description: dict

    @property
    def transform(self):
        """What a test image goes through before the network."""
        return Transform(self.facts.mean, self.facts.std, self.network["classes"])

    def images(self, split, download=True):
        """The `datasets.ImageSet` of a split of its data set."""
        return datasets.load(split=split, download=download, **self.source)


def load_trained(path, options, devices):
    """Read a parameter file into the network that it is of.

    Parameters
    ----------
    path : str
        The parameter file.
    options : options.TrainedOptions
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
    description = parameters.read_description(path) or {"network": {}}
    known = dict(description["network"], dataset=description.get("dataset"),
                 data_format=description.get("data_format", "bin"))
    for name in ("dataset", "data_format", "num_layers", "widths", "attention_learning"):
        known[name] = getattr(options, name) or known.get(name)
        if known[name] is None:
            raise InputError("%s has no description beside it: give %s" % (path, flag_name(name)))
    dataset, data_format = known.pop("dataset"), known.pop("data_format")
    data_dir = options.data_dir or _data_dir(description)
    facts = datasets.describe(dataset, data_dir, data_format)
    classes = known.setdefault("classes", len(facts.classes))
    if classes != len(facts.classes):
        raise InputError("--dataset %s has %d classes, the network of %s has %d" % (
            dataset, len(facts.classes), path, classes))
    net = get_attention_cifar(**known)
    parameters.load_parameters(net, path, devices)
    net.hybridize(static_alloc=True, static_shape=True)
    return Trained(net, known, facts, dict(name=dataset, data_dir=data_dir, data_format=data_format), description)


def evaluate_parameters(path, options):
    """Evaluation of a parameter file on all test images of its data set.

    Parameters
    ----------
    path, options
        As of `load_trained`, and the rest of `options.TestingOptions`.

    Returns
    -------
    evaluation : Evaluation
    classes : tuple of str

    Raises
    ------
    InputError
        As `load_trained`.
    """
    devices, _ = choose_devices(options.num_gpus if options.graph == "plain" else 0)
    trained = load_trained(path, options, devices)
    net, transform = trained.net, trained.transform
    if options.graph == "fused":
        net = fused(net)
    elif options.graph == "int8":
        net = quantized(net, calibration_images(trained.images("train"), transform, options.calibration_images))
    test_set = trained.images("test")
    loader = ArrayLoader(test_set, transform, options.batch_size * len(devices), workers=options.workers)
    return evaluate(net, loader.epoch(0), devices), test_set.classes


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
        raise InputError("--calibration-images %d: the data set has %d training images" % (count, total))
    rows = np.random.default_rng(0).permutation(total)[:count or CALIBRATION_IMAGES]
    return transform(train_set.images[rows], train_set.labels[rows])[0]


def _data_dir(description):
    """The folder that training read from, where it exists, else the default: parameters are taken elsewhere."""
    folder = os.path.expanduser(description.get("data_dir", ""))
    return folder if os.path.isdir(folder) else "data"
