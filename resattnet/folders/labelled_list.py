"""What lists of images have in common, whatever holds the images."""

from __future__ import annotations

from typing import Tuple

import numpy as np


class LabelledList:
    """The base of the lists of images.

    Attributes
    ----------
    classes : tuple of str
        Name of each class.
    labels : int32 array (N,)
        Class of each image.
    """

    classes: Tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def class_counts(self) -> np.ndarray:
        """Return the number of images of each class, int64 (classes,)."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)
