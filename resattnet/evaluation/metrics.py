"""Measures of a network over a data set: every sample exactly once."""

from typing import NamedTuple, Tuple

import numpy as np

from ..system.devices import split_batch
from ..system.errors import InputError


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
    """The most probable classes of an image, the first being the network's answer.

    Attributes
    ----------
    classes : tuple of str
    labels : tuple of int
        Their numbers.
    probabilities : tuple of float
    """

    classes: Tuple[str, ...]
    labels: Tuple[int, ...]
    probabilities: Tuple[float, ...]


def evaluate(net, loader, devices, dtype="float32", watch=None):
    """Loss, top-1, top-5 and confusion of a network over all samples of a loader; arguments as of `compute_logits`."""
    return evaluate_logits(*compute_logits(net, loader, devices, dtype, watch))


def compute_logits(net, loader, devices, dtype="float32", watch=None, mirror=False):
    """Logits of a network and labels over all samples of a loader.

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
    mirror : bool
        Mirror each image left to right.

    Returns
    -------
    logits : array (N, classes)
    labels : int array (N,)
    """
    logits, labels = [], []
    for images, batch_labels in loader:
        if watch:
            watch()
        images = images[..., ::-1] if mirror else images
        outputs = [net(part) for part, _ in split_batch(images, batch_labels, devices, dtype)]
        logits.append(np.concatenate([output.asnumpy() for output in outputs]))
        labels.append(batch_labels)
    return np.concatenate(logits), np.concatenate(labels)


def probabilities(logits):
    """The probabilities that logits (N, classes) mean, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def mean_probabilities(*logits):
    """Logarithm of the mean of the probabilities that several logits (N, classes) of the same samples mean."""
    mean = sum(probabilities(part) / len(logits) for part in logits)
    return np.log(np.maximum(mean, np.finfo(np.float64).tiny))


def finite(logits):
    """The logits as they are; an InputError if one is not finite."""
    if not np.isfinite(logits).all():
        raise InputError("the network's logits are not finite: its parameters are of a run that diverged")
    return logits


def rank(logits, classes, top):
    """The `Prediction` of each sample: up to `top` of the classes, whose names are given, of logits (N, classes)."""
    for row, order in zip(probabilities(logits), np.argsort(-logits, axis=1, kind="stable")[:, :top]):
        yield Prediction(tuple(classes[label] for label in order), tuple(order.tolist()), tuple(row[order].tolist()))


def evaluate_logits(logits, labels):
    """Evaluation of logits (N, classes) against int labels (N,); of equal logits the lower class comes first."""
    classes = logits.shape[1]
    ranking = np.argsort(-logits, axis=1, kind="stable")
    hits = ranking == labels[:, None]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, ranking[:, 0]), 1)
    return Evaluation(
        float(measure_samples(logits, labels).loss.mean()),
        float(hits[:, 0].mean()),
        float(hits[:, :5].any(axis=1).mean()),
        confusion,
    )


def measure_samples(logits, labels):
    """`Samples` of logits (N, classes) against int labels (N,)."""
    logits = logits.astype(np.float64)
    rows, predicted = np.arange(len(labels)), logits.argmax(axis=1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return Samples(log_total - shifted[rows, labels], predicted, np.exp(shifted[rows, predicted] - log_total))


class Reliability(NamedTuple):
    """Samples by the probability of the predicted class, in bins of equal width (Guo et al., arXiv 1706.04599).

    Attributes
    ----------
    counts : int64 array (bins,)
        Samples of each bin; bin i has the probabilities above i / bins up to (i + 1) / bins.
    confidence, accuracy : float64 arrays (bins,)
        Their mean probability, and the share of them that is right; NaN where there are none.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self):
        """The expected calibration error, ECE: the mean gap between confidence and accuracy over the samples."""
        gaps = np.abs(self.confidence - self.accuracy)[self.counts > 0]
        return float((gaps * self.counts[self.counts > 0]).sum() / self.counts.sum())


def reliability(probability, right, bins=15):
    """`Reliability` of the probabilities (N,) of the predicted classes, which are `right` (N,) or not."""
    places = np.searchsorted(np.arange(1, bins) / bins, probability)
    counts = np.bincount(places, minlength=bins)
    confidence, accuracy = (
        np.divide(np.bincount(places, values, bins), counts, out=np.full(bins, np.nan), where=counts > 0)
        for values in (probability, right)
    )
    return Reliability(counts, confidence, accuracy)


class Paired(NamedTuple):
    """Two networks on the same samples.

    Attributes
    ----------
    only_first, only_second : int
        Samples that only the one gets right.
    p : float
        Of McNemar's exact test, two-sided: how probable at least such a difference is between networks that are
        as often right.
    """

    only_first: int
    only_second: int
    p: float


def compare_paired(first, second):
    """`Paired` of bool arrays (N,): which samples each of two networks gets right."""
    from scipy.stats import binomtest  # here, since it is slow to import

    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    return Paired(one, other, float(binomtest(one, one + other).pvalue) if one + other else 1.0)


class HardImage(NamedTuple):
    """A test image: its number in the set, uint8 pixels (H, W, 3), class names, the predicted one's probability."""

    index: int
    image: np.ndarray
    true: str
    predicted: str
    probability: float
    loss: float


def hardest_images(logits, test_set, count):
    """The test images of the highest loss, as `HardImage`s, hardest first."""
    samples, classes = measure_samples(logits, test_set.labels), test_set.classes
    return [
        HardImage(
            int(index),
            test_set.images[index],
            classes[test_set.labels[index]],
            classes[samples.predicted[index]],
            float(samples.probability[index]),
            float(samples.loss[index]),
        )
        for index in samples.hardest(count)
    ]


def mistakes(confusion, count=10):
    """What is most often taken for what: up to `count` (true, predicted, samples), by falling number."""
    wrong = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    return [
        (int(true), int(predicted), int(wrong[true, predicted]))
        for true, predicted in zip(*np.unravel_index(order, wrong.shape))
        if wrong[true, predicted]
    ]
