"""Measure top-1 under corruptions of the test images."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Protocol, Sequence

import numpy as np

from ..data.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from ..data.image_set import ImageSet
from ..data.transforms import Transform
from ..options.counts import limit_count
from ..system.console import progress_bar
from .options import TestOptions


def measure_robustness(
    logits_of: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] = tuple(CORRUPTIONS),
    batch_size: int = 250,
    seed: int = 0,
) -> Dict[str, Any]:
    """Return top-1 of a classifier on clean images and under each corruption at each strength.

    Parameters
    ----------
    logits_of : callable
        Maps uint8 images (N, H, W, 3) to logits (N, classes).
    images : uint8 array (N, H, W, 3)
        Not modified.
    labels : int array (N,)
    names : sequence of str
        Keys of `corruptions.CORRUPTIONS`.
    batch_size : int
        Has no effect on the random numbers.
    seed : int

    Returns
    -------
    dict
        JSON types: `images`, the number of images; `clean`, their top-1; `top1`, by corruption a list of the top-1 at
        the five strengths; `mean`, the mean of all values of `top1`.
    """
    with progress_bar(
        total=len(images) * (1 + len(names) * len(STRENGTHS)),
        desc="corruptions",
        unit="image",
        leave=False,
        delay=1,
    ) as bar:

        def top1(name: Optional[str] = None, strength: int = 0) -> float:
            hits = 0
            for first in range(0, len(images), batch_size):
                batch = images[first : first + batch_size]
                if name is not None:
                    batch = corrupt(batch, name, strength, seed, first)
                hits += int((logits_of(batch).argmax(axis=1) == labels[first : first + batch_size]).sum())
                bar.update(len(batch))
            return hits / len(images)

        clean = top1()
        rows = {name: [top1(name, strength) for strength in STRENGTHS] for name in names}
    return {"images": len(images), "clean": clean, "top1": rows, "mean": float(np.mean(list(rows.values())))}


class Computing(Protocol):
    """A network that computes logits: a `LoadedModel` or an `ExportedModel`."""

    @property
    def transform(self) -> Transform:
        """Transform of a test image."""

    @property
    def parts(self) -> int:
        """Number of devices, which a batch is divided among."""

    def compute(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of normalised images, float32 (N, 3, H, W)."""


def image_passes(test_set: ImageSet, options: TestOptions) -> int:
    """Return how many images a network computes in an evaluation."""
    total = len(test_set.labels)
    corrupted = min(total, options.corruption_images or total) * len(options.corruption_names) * len(STRENGTHS)
    return total * max(options.crops, 1 + options.flip) + corrupted


def model_robustness(model: Computing, test_set: ImageSet, options: TestOptions) -> Dict[str, Any]:
    """Return `measure_robustness` of a model on the test images of its data set.

    Parameters
    ----------
    model : LoadedModel or ExportedModel
    test_set : ImageSet
    options : TestOptions
        `corruption_names`, `corruption_images` and `batch_size` are used.
    """

    def logits_of(images: np.ndarray) -> np.ndarray:
        return model.compute(model.transform(images, np.zeros(len(images), np.int32))[0])

    count = options.corruption_images
    if count:
        count = limit_count("corruption_images", count, len(test_set.labels), "test images")
    return measure_robustness(
        logits_of,
        test_set.images[:count] if count else test_set.images,
        test_set.labels[:count],
        options.corruption_names,
        options.batch_size * model.parts,
    )
