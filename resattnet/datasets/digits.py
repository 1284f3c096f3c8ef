"""The embedded handwritten digits, enlarged to the size of CIFAR's images.

They are the 1,797 8x8 images of `sklearn.datasets.load_digits`. `digits.md` beside this file has their origin and
their licence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import List

import numpy as np

from ..data.facts import DataFacts
from ..data.image_set import ImageSet
from .cifar_records import SIDE


@dataclass(frozen=True)
class DigitsSource:
    """Source of the handwritten digits: their facts, and how they are read."""

    facts: DataFacts

    def read(self, data_dir: str, split: str, download: bool = True) -> ImageSet:
        """Read a split.

        The last 360 images of the file are the test set. Neighbours in the file tend to come from one writer, so most
        writers of the test set do not occur in training. This is harder than a random split, and more informative.

        Parameters
        ----------
        data_dir, download
            Not used: the images come with the package.
        split : str
            'train' or 'test'.
        """
        path = os.path.join(os.path.dirname(__file__), "digits.npz")
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
        first = self.facts.samples["train"]
        part = slice(None, first) if split == "train" else slice(first, None)
        grey = magnify(images[part], SIDE)
        return ImageSet(np.repeat(grey[..., None], 3, axis=3), labels[part].astype(np.int32), self.facts.classes)

    def remarks(self, data_dir: str) -> List[str]:
        """Return no remarks: the images come with the package."""
        return []


def magnify(images: np.ndarray, side: int) -> np.ndarray:
    """Enlarge square images with values 0..16 to `side` pixels with values 0..255, bilinearly.

    Parameters
    ----------
    images : uint8 array (N, S, S)
    side : int

    Returns
    -------
    uint8 array (N, side, side)
    """
    size = images.shape[1]
    centres = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(size))).astype(np.float32)
    return (weights @ images.astype(np.float32) @ weights.T * (255 / 16) + 0.5).astype(np.uint8)


DIGITS = DigitsSource(
    DataFacts(
        title="The handwritten digits",
        classes=tuple("0123456789"),
        samples={"train": 1437, "test": 360},
        mean=(0.3054, 0.3054, 0.3054),
        std=(0.3228, 0.3228, 0.3228),
        flip=False,
        image_size=(SIDE, SIDE),
    )
)
