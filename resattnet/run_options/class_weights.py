"""Read and compute the weight of each class in the loss: `--class-weights`. Nothing here imports MXNet."""

from __future__ import annotations

from typing import List, Mapping, NoReturn, Optional, Sequence, Tuple

import numpy as np

from ..options.fields import assignment
from ..system.errors import InputError
from ..system.suggestions import suggest

BALANCED = "balanced"
LOW, HIGH = 1e-6, 1e6
SHOWN = 10  # names of classes in a message


def parse_weights(text: str) -> List[Tuple[Optional[str], float]]:
    """Return the names and weights of a list: `1,2,0.5`, whose names are None, or `cat=2,dog=1`.

    Raises
    ------
    InputError
        If it is neither, a weight is out of `LOW` to `HIGH`, or a class is named twice.
    """
    parts: List[Tuple[Optional[str], float]] = []
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            _refuse(text, f"give {BALANCED}, a number for each class, as 1,2,0.5, or classes, as cat=2,dog=1")
        if not LOW <= weight <= HIGH:
            _refuse(text, f"give weights from {LOW:g} to {HIGH:g}")
        parts.append((name if equals else None, weight))
    names = [name for name, _ in parts if name is not None]
    if names and len(names) != len(parts):
        _refuse(text, "give either all weights with classes, or none")
    if len(set(names)) != len(names):
        _refuse(text, "give each class once")
    return parts


def _refuse(text: str, problem: str) -> NoReturn:
    raise InputError(f"{assignment('class_weights', text)}: {problem}") from None


def class_weights(text: str, classes: Sequence[str], counts: np.ndarray, sampler: str) -> np.ndarray:
    """Return the weight of each class, scaled so that the mean weight of the samples of an epoch is 1.

    Parameters
    ----------
    text : str
        'balanced': the weights are in inverse proportion to the numbers of images, and a class without images has 1.
        Otherwise a list as for `parse_weights`; a class that a list of classes leaves out has 1 before the scaling.
    classes : sequence of str
    counts : int array (classes,)
        Number of training images of each class.
    sampler : str
        Key of `loaders.samplers.SAMPLERS`, which says how often an epoch has each class.

    Returns
    -------
    float32 array (classes,)

    Raises
    ------
    InputError
        If the list is wrong, or does not fit the classes.
    """
    present = counts > 0
    weights = 1 / np.maximum(counts, 1) if text == BALANCED else _listed(text, classes)
    shares = present if sampler == "balanced" else counts
    weights = weights * (shares.sum() / (weights * shares).sum())
    if text == BALANCED:
        weights[~present] = 1
    return weights.astype(np.float32)


def _listed(text: str, classes: Sequence[str]) -> np.ndarray:
    """Return the weights of a list in the order of the classes."""
    parts = parse_weights(text)
    if parts[0][0] is None:
        if len(parts) != len(classes):
            _refuse(text, f"these are {len(parts)} weights, and the data set has {len(classes)} classes")
        return np.array([weight for _, weight in parts])
    named: Mapping[Optional[str], float] = dict(parts)
    for name in named:
        if name not in classes:
            listed = ", ".join(classes) if len(classes) <= SHOWN else f"{', '.join(classes[:SHOWN])}, ..."
            advice = suggest(str(name), classes) or f"its classes are {listed}"
            _refuse(text, f"the data set has no class {name}; {advice}")
    return np.array([named.get(name, 1.0) for name in classes])


def describe_weights(weights: np.ndarray, classes: Sequence[str]) -> str:
    """Return the largest and the smallest weight in words, for the log of a run."""
    low, high = int(weights.argmin()), int(weights.argmax())
    return f"weights in the training loss: {weights[low]:.4g} ({classes[low]}) to {weights[high]:.4g} ({classes[high]})"
