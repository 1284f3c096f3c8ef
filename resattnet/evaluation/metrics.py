"""Compute the figures of a classifier from its logits and the labels, in NumPy and float64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import List, NamedTuple, Tuple

import numpy as np

RELIABILITY_BINS = 15


class Reliability(NamedTuple):
    """Samples grouped by the probability of the predicted class, in bins of equal width (arXiv 1706.04599).

    Attributes
    ----------
    counts : int64 array (bins,)
        Number of samples in each bin. Bin i holds the probabilities above i / bins and up to (i + 1) / bins.
    confidence : float64 array (bins,)
        Mean probability of each bin; NaN for an empty bin.
    accuracy : float64 array (bins,)
        Fraction of each bin that is predicted correctly; NaN for an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (ECE): the mean gap between confidence and accuracy over the samples."""
        gaps = np.abs(self.confidence - self.accuracy)[self.counts > 0]
        return float((gaps * self.counts[self.counts > 0]).sum() / self.counts.sum())


class PairedComparison(NamedTuple):
    """Two classifiers compared on the same samples.

    Attributes
    ----------
    only_first, only_second : int
        Number of samples that only the first, or only the second, classifies correctly.
    p : float
        p-value of McNemar's exact two-sided test: the probability of a difference at least as large between
        classifiers of equal accuracy.
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a classifier on labelled samples. Each figure is computed at its first use and kept.

    Parameters
    ----------
    logits : float array (N, classes)
    labels : int array (N,)
    """

    logits: np.ndarray
    labels: np.ndarray

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @cached_property
    def _ranking(self) -> np.ndarray:
        """Classes of each sample by falling logit, int64 array (N, classes). Equal logits: the lower class first."""
        return np.argsort(-self.logits, axis=1, kind="stable")

    @property
    def predicted(self) -> np.ndarray:
        """Most probable class of each sample, int64 array (N,); of equally probable classes the lowest."""
        return self._ranking[:, 0]

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each sample is predicted correctly, bool array (N,)."""
        return self.predicted == self.labels

    @cached_property
    def top1(self) -> float:
        """Fraction of the samples whose label is the most probable class."""
        return float(self.right.mean())

    @cached_property
    def top5(self) -> float:
        """Fraction of the samples whose label is among the five most probable classes."""
        return float((self._ranking[:, :5] == self.labels[:, None]).any(axis=1).mean())

    @cached_property
    def _shifted(self) -> Tuple[np.ndarray, np.ndarray]:
        """Logits less the largest of each sample, (N, classes), and the log of the sum of their exponentials, (N,)."""
        logits = self.logits.astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted, np.log(np.exp(shifted).sum(axis=1))

    @cached_property
    def losses(self) -> np.ndarray:
        """Cross-entropy of each sample in nats, float64 array (N,)."""
        shifted, log_total = self._shifted
        return log_total - shifted[np.arange(self.samples), self.labels]

    @cached_property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.mean())

    @cached_property
    def probability(self) -> np.ndarray:
        """Probability of the predicted class of each sample, float64 array (N,)."""
        shifted, log_total = self._shifted
        return np.exp(shifted[np.arange(self.samples), self.predicted] - log_total)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Number of samples by true class (row) and predicted class (column), int64 array (classes, classes)."""
        confusion = np.zeros((self.logits.shape[1],) * 2, np.int64)
        np.add.at(confusion, (self.labels, self.predicted), 1)
        return confusion

    @cached_property
    def class_accuracy(self) -> np.ndarray:
        """Top-1 of each class, float64 array (classes,); NaN for a class without samples."""
        counts = self.confusion.sum(axis=1)
        return np.divide(self.confusion.diagonal(), counts, out=np.full(len(counts), np.nan), where=counts > 0)

    @cached_property
    def reliability(self) -> Reliability:
        """Reliability of the probabilities of the predicted classes, in `RELIABILITY_BINS` bins."""
        return compute_reliability(self.probability, self.right)

    def hardest(self, count: int, of: str = "all") -> np.ndarray:
        """Return the indices of up to `count` samples by falling loss; of equal losses the earlier sample first.

        Parameters
        ----------
        count : int
        of : {'all', 'mistakes'}
            'mistakes': only samples that are predicted wrongly.
        """
        order = np.argsort(-self.losses, kind="stable")
        return (order if of == "all" else order[~self.right[order]])[:count]

    def mistakes(self, count: int = 10) -> List[Tuple[int, int, int]]:
        """Return the most frequent mistakes: up to `count` tuples (true class, predicted class, samples)."""
        wrong = self.confusion * (1 - np.eye(len(self.confusion), dtype=self.confusion.dtype))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        return [
            (int(true), int(predicted), int(wrong[true, predicted]))
            for true, predicted in zip(*np.unravel_index(order, wrong.shape))
            if wrong[true, predicted]
        ]


def compute_reliability(probability: np.ndarray, right: np.ndarray, bins: int = RELIABILITY_BINS) -> Reliability:
    """Return the reliability of predictions.

    Parameters
    ----------
    probability : float array (N,)
        Probability of the predicted class of each sample.
    right : bool array (N,)
        Whether the predicted class is the true one.
    bins : int
        Number of bins of equal width.
    """
    places = np.searchsorted(np.arange(1, bins) / bins, probability)
    counts = np.bincount(places, minlength=bins)
    confidence, accuracy = (
        np.divide(np.bincount(places, values, bins), counts, out=np.full(bins, np.nan), where=counts > 0)
        for values in (probability, right)
    )
    return Reliability(counts, confidence, accuracy)


def compare_paired(first: np.ndarray, second: np.ndarray) -> PairedComparison:
    """Compare two classifiers on the same samples by McNemar's exact test.

    Parameters
    ----------
    first, second : bool arrays (N,)
        Whether each classifier predicts each sample correctly.
    """
    from scipy.stats import binomtest  # here because it is slow to import

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total = only_first + only_second
    return PairedComparison(only_first, only_second, float(binomtest(only_first, total).pvalue) if total else 1.0)
