"""Digits with a quarter of their pixels, for tests that train and do not depend on the image size."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from resattnet.data.image_set import ImageSet
from resattnet.datasets import catalog


def use(patch: Any, train: Optional[int] = None, test: Optional[int] = None) -> None:
    """Make `catalog.load_images` return images of 16x16 pixels.

    Parameters
    ----------
    patch : pytest.MonkeyPatch
    train, test : int, optional
        Number of images in each split. Default: all.
    """
    load, counts = catalog.load_images, {"train": train, "test": test}

    def load_small(name: str, data_dir: Any, split: str, **kwargs: Any) -> ImageSet:
        whole, count = load(name, data_dir, split, **kwargs), counts[split]
        return whole._replace(images=np.ascontiguousarray(whole.images[:count, ::2, ::2]), labels=whole.labels[:count])

    patch.setattr(catalog, "load_images", load_small)
