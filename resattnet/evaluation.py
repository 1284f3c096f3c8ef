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


class Samples(NamedTuple):
    """What a network did on each sample of a data set: arrays (N,), in the order of the samples.

    Attributes
    ----------
    loss : float64
        Cross-entropy, in nats.
    predicted : int64
        The most probable class, of equal ones the lower.
    probability : float64
        That of the predicted class.
    """

    loss: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray

    def hardest(self, count):
        """Up to `count` samples by falling loss, of equal ones the earlier first."""
        return np.argsort(-self.loss, kind="stable")[:count]


class Prediction(NamedTuple):
    """Logits (N, classes) of a parameter file on its test set, and that set, in the same order."""

    logits: np.ndarray
    test_set: datasets.ImageSet


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
    return measure(*predict(net, loader, devices, dtype, watch))


def predict(net, loader, devices, dtype="float32", watch=None):
    """Logits (N, classes) and labels (N,) of all samples of a loader, in its order; the arguments are `evaluate`'s."""
    logits, labels = [], []
    for images, batch_labels in loader:
        if watch:
            watch()
        outputs = [net(part) for part, _ in split_batch(images, batch_labels, devices, dtype)]
        logits.append(np.concatenate([output.asnumpy() for output in outputs]))
        labels.append(batch_labels)
    return np.concatenate(logits), np.concatenate(labels)


def measure(logits, labels):
    """Evaluation of logits (N, classes) against int labels (N,); of equal logits the lower class comes first."""
    classes = logits.shape[1]
    ranking = np.argsort(-logits, axis=1, kind="stable")
    hits = ranking == labels[:, None]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, ranking[:, 0]), 1)
    return Evaluation(float(measure_samples(logits, labels).loss.mean()), float(hits[:, 0].mean()),
                      float(hits[:, :5].any(axis=1).mean()), confusion)


def measure_samples(logits, labels):
    """`Samples` of logits (N, classes) against int labels (N,)."""
    logits = logits.astype(np.float64)
    rows, predicted = np.arange(len(labels)), logits.argmax(axis=1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return Samples(log_total - shifted[rows, labels], predicted, np.exp(shifted[rows, predicted] - log_total))


def evaluate_parameters(path, options):
    """Evaluation of a parameter file on all test images of its data set.

    Parameters
    ----------
    path : str
        The parameter file.
    options : options.TestingOptions
        What they leave out is read from the description beside the parameters.

    Returns
    -------
    evaluation : Evaluation
    classes : tuple of str

    Raises
    ------
    InputError
        If a file is missing or damaged, is of another network, or what is left out has no description.
    """
    logits, test_set = predict_parameters(path, options)
    return measure(logits, test_set.labels), test_set.classes


def predict_parameters(path, options, download=True):
    """`Prediction` of a parameter file on all test images of its data set, which `download` may fetch.

    Arguments and errors are those of `evaluate_parameters`.
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
    devices, _ = choose_devices(options.num_gpus if options.graph == "plain" else 0)
    net = get_attention_cifar(**known)
    parameters.load_parameters(net, path, devices)
    net.hybridize(static_alloc=True, static_shape=True)
    transform = Transform(facts.mean, facts.std, classes)
    if options.graph == "fused":
        net = fused(net)
    elif options.graph == "int8":
        train_set = datasets.load(dataset, data_dir, "train", download=download, data_format=data_format)
        net = quantized(net, calibration_images(train_set, transform, options.calibration_images))
    test_set = datasets.load(dataset, data_dir, "test", download=download, data_format=data_format)
    loader = ArrayLoader(test_set, transform, options.batch_size * len(devices), workers=options.workers)
    return Prediction(predict(net, loader.epoch(0), devices)[0], test_set)


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
