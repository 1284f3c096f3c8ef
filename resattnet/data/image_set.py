"""Labelled images in memory, what is computed from all of them, and the progress of reading them."""

from __future__ import annotations

import hashlib
from typing import Any, Iterable, NamedTuple, Optional, Tuple

import numpy as np

from ..system.console import progress_bar


class ImageSet(NamedTuple):
    """Labelled images in memory."""

    images: Any  # uint8 array (N, H, W, 3), or FileImages, which reads them when they are asked for
    labels: np.ndarray  # int32 (N,)
    classes: Tuple[str, ...]


def fingerprint(image_set: ImageSet) -> str:
    """Return the SHA-256 of labels and pixels, in hexadecimal.

    Two image sets have the same fingerprint if they have the same images and labels in the same order, in whatever
    format they were stored. Class names do not count.

    Parameters
    ----------
    image_set : ImageSet
    """
    state = hashlib.sha256(repr(image_set.images.shape).encode())
    state.update(np.ascontiguousarray(image_set.labels, "<i4"))
    state.update(np.ascontiguousarray(image_set.images, np.uint8))
    return state.hexdigest()


def channel_statistics(images: np.ndarray) -> Tuple[Tuple[float, float, float], Tuple[float, float, float]]:
    """Return mean and standard deviation of each channel, for pixels in 0..1.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)

    Returns
    -------
    mean, std : tuple of 3 float
        Rounded to four decimals. The deviation is at least one grey level, so that it can be divided by.
    """
    values, mean, std = np.arange(256) / 255, [], []
    for channel in range(3):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        mean.append(np.average(values, weights=counts))
        std.append(max(np.sqrt(np.average((values - mean[-1]) ** 2, weights=counts)), 1 / 255))
    return _rounded(mean), _rounded(std)


def _rounded(values: Any) -> Tuple[float, float, float]:
    first, second, third = (round(float(value), 4) for value in values)
    return first, second, third


def image_progress(items: Iterable[Any], label: str, total: Optional[int] = None) -> Iterable[Any]:
    """Return the items one by one, and show a progress bar in a terminal if they take longer than a second.

    Parameters
    ----------
    items : iterable
        One item for each image.
    label : str
        What is done with the images.
    total : int, optional
        Number of items; default: `len(items)`.
    """
    return progress_bar(items, total=total, desc=label, unit="image", leave=False, delay=1)
