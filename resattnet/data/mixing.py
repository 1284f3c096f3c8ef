"""Change the labels of a batch, and blend its images with them: smoothing, mixup, CutMix, label noise.

`mixup` and `cutmix` work in place: new memory for a second float32 batch costs more time than all the arithmetic.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

BLOCK = 16  # images blended at a time, so that intermediate results stay in the cache


def smooth(labels: np.ndarray, classes: int, epsilon: float) -> np.ndarray:
    """Return labels (N,) as float32 targets (N, classes), with label smoothing.

    A target is 1 - epsilon for the label, and epsilon / (classes - 1) for each other class.
    """
    off = epsilon / (classes - 1) if classes > 1 else 0.0
    targets = np.full((len(labels), classes), off, np.float32)
    targets[np.arange(len(labels)), labels] = 1 - epsilon
    return targets


def mixup(
    images: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> Tuple[np.ndarray, np.ndarray]:
    """Blend a batch with itself in reverse order, in place (arXiv 1710.09412, equation 1).

    The pairs of images are random if the order of the batch is.

    Parameters
    ----------
    images : float32 array (N, C, H, W)
    targets : float32 array (N, classes)
    alpha : float
        The weight is drawn from Beta(alpha, alpha), once for the batch.
    rng : numpy.random.Generator

    Returns
    -------
    images, targets : float32 arrays
        The same arrays.
    """
    weight = np.float32(rng.beta(alpha, alpha))
    for part in (images, targets):
        _blend(part, weight)
    return images, targets


def _blend(part: np.ndarray, weight: np.floating) -> None:
    """Blend each row i of an array with row i from the end, with this weight, in place."""
    half = len(part) // 2
    for begin in range(0, half, BLOCK):
        rows = slice(begin, min(begin + BLOCK, half))
        own, mirrored = part[rows], part[::-1][rows]
        exchanged = mirrored - own
        exchanged *= 1 - weight
        own += exchanged
        mirrored -= exchanged


def cutmix(
    images: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> Tuple[np.ndarray, np.ndarray]:
    """Paste a box of the batch in reverse order into the batch, in place (arXiv 1905.04899, section 3.1).

    The box is the same for the whole batch. It has sqrt(1 - lambda) of the height and of the width, and its centre is
    anywhere in the image. Parts outside the image are clipped; the labels are blended by the areas after clipping.

    Parameters
    ----------
    images : float32 array (N, C, H, W)
    targets : float32 array (N, classes)
    alpha : float
        lambda is drawn from Beta(alpha, alpha), once for the batch.
    rng : numpy.random.Generator

    Returns
    -------
    images, targets : float32 arrays
        The same arrays.
    """
    ratio = np.sqrt(1 - rng.beta(alpha, alpha))
    height, width = images.shape[2:]
    (top, bottom), (left, right) = (_clipped(int(side * ratio), side, rng) for side in (height, width))
    box = images[:, :, top:bottom, left:right]
    box[:] = box[::-1].copy()
    _blend(targets, np.float32(1 - (bottom - top) * (right - left) / (height * width)))
    return images, targets


def _clipped(length: int, side: int, rng: np.random.Generator) -> Tuple[int, int]:
    """Return start and end of an interval of this length with its centre anywhere in 0..side, clipped to 0..side."""
    begin = int(rng.integers(side)) - length // 2
    return max(begin, 0), min(begin + length, side)


def label_noise(labels: np.ndarray, classes: int, noise: float, seed: int) -> np.ndarray:
    """Return the labels of a training set with a fraction of wrong labels (arXiv 1704.06904, section 4.1).

    Parameters
    ----------
    labels : int32 array (N,)
    classes : int
        At least 2.
    noise : float
        Probability that a label becomes one of the other classes, each with equal probability.
    seed : int
        The same seed gives the same labels.

    Returns
    -------
    int32 array (N,)
    """
    rng = np.random.default_rng((seed, 0, 0, 1))  # differs from the streams of any order (seed, epoch) and of any batch
    wrong = rng.random(len(labels)) < noise
    others = rng.integers(1, classes, len(labels))
    return np.where(wrong, (labels + others) % classes, labels).astype(labels.dtype)
