"""Collect the logits of a classifier, and turn them into probabilities and predictions, in NumPy and float64."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..system.errors import InputError


class Prediction(NamedTuple):
    """The most probable classes of one image, the most probable first.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes.
    labels : tuple of int
        Numbers of the classes.
    probabilities : tuple of float
    """

    classes: Tuple[str, ...]
    labels: Tuple[int, ...]
    probabilities: Tuple[float, ...]

    def to_list(self) -> List[Dict[str, Any]]:
        """Return a dict of JSON types for each class: `class`, `label` and `probability`."""
        return [
            {"class": title, "label": label, "probability": probability} for title, label, probability in zip(*self)
        ]


def collect_logits(
    compute: Callable[[np.ndarray], np.ndarray],
    loader: Iterable[Tuple[np.ndarray, np.ndarray]],
    watch: Optional[Callable[[], None]] = None,
    mirror: bool = False,
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the logits and the labels of all samples of a loader.

    Parameters
    ----------
    compute : callable
        Maps images (N, C, H, W) to logits (N, classes).
    loader : iterable of (images, labels)
        Images (N, C, H, W) and int labels (N,).
    watch : callable, optional
        Called without arguments before each batch. An exception that it raises ends the computation.
    mirror : bool
        Whether to mirror each image left to right.

    Returns
    -------
    logits : float array (N, classes)
    labels : int array (N,)
    """
    logits: List[np.ndarray] = []
    labels: List[np.ndarray] = []
    for images, batch_labels in loader:
        if watch:
            watch()
        logits.append(compute(images[..., ::-1] if mirror else images))
        labels.append(batch_labels)
    return np.concatenate(logits), np.concatenate(labels)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits (N, classes), in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def mean_probabilities(*logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the mean probabilities of several logits (N, classes) of the same samples."""
    mean = sum(probabilities(part) / len(logits) for part in logits)
    return np.log(np.maximum(mean, np.finfo(np.float64).tiny))


def check_finite(logits: np.ndarray) -> np.ndarray:
    """Return the logits unchanged.

    Raises
    ------
    InputError
        If a logit is infinite or NaN.
    """
    if not np.isfinite(logits).all():
        raise InputError("the network's logits are not finite: its parameters come from a run that diverged")
    return logits


def top_predictions(logits: np.ndarray, classes: Sequence[str], top: int) -> Iterator[Prediction]:
    """Yield the `Prediction` of each sample.

    Parameters
    ----------
    logits : float array (N, classes)
    classes : sequence of str
        Names of the classes.
    top : int
        Number of classes in a prediction; all classes where there are fewer.
    """
    for row, order in zip(probabilities(logits), np.argsort(-logits, axis=1, kind="stable")[:, :top]):
        yield Prediction(tuple(classes[label] for label in order), tuple(order.tolist()), tuple(row[order].tolist()))
