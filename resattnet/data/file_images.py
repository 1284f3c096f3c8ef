"""Images of files at one size, read when they are asked for."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from .decoding import ChooseBox, Files, read_part
from .geometry import FITS, Box, Geometry

TRIES = 10  # draws of a part of an image before its middle is taken


class FileImages:
    """Images of files, which stand where an array uint8 (N, H, W, 3) does; each is read when it is asked for.

    Parameters
    ----------
    files : Files
    size : (int, int)
        Height and width of the images.
    geometry : Geometry
        How an image becomes one of that size.
    place : (float, float), optional
        One of `geometry.PLACES`, where the part of an image lies. Default: the middle.
    """

    def __init__(
        self, files: Files, size: Tuple[int, int], geometry: Geometry, place: Optional[Tuple[float, float]] = None
    ) -> None:
        self.files, self.size, self.geometry = files, size, geometry
        self._box = functools.partial(geometry.moved, place=place) if place else geometry.box

    def moved(self, place: Tuple[float, float]) -> FileImages:
        """Return the same images, with the part that lies at another place."""
        return FileImages(self.files, self.size, self.geometry, place)

    @property
    def shape(self) -> Tuple[int, int, int, int]:
        """Shape of the array."""
        return (len(self.files), *self.size, 3)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return an image (H, W, 3) of an int, or the images (n, H, W, 3) of a slice or an array of rows.

        Raises
        ------
        InputError
            If a file cannot be read.
        """
        numbers = np.arange(len(self.files))[rows]
        if np.ndim(numbers) == 0:
            return self.read(int(numbers))
        images = np.empty((len(numbers), *self.size, 3), np.uint8)
        for image, number in zip(images, numbers.tolist()):
            image[:] = self.read(number)
        return images

    def read(self, number: int) -> np.ndarray:
        """Return an image as validation and prediction see it, uint8 (H, W, 3)."""
        choose = functools.partial(self._box, size=self.size)
        return read_part(self.files, number, choose, self.size, self.geometry.interpolation)


def same_images(first: Any, other: Any) -> bool:
    """Return whether two arrays of images are equal, or two lists of image files name the same, at one size."""
    if isinstance(first, FileImages) and isinstance(other, FileImages):
        alike = (first.size, first.geometry) == (other.size, other.geometry)
        return alike and first.files.fingerprint() == other.files.fingerprint()
    return np.array_equal(first, other)


class RandomResizedCrop(NamedTuple):
    """A random part of an image, of random area and proportions (arXiv 1409.4842, section 6).

    Attributes
    ----------
    scale : (float, float)
        Least and largest area of the part, relative to the area of the image.
    ratio : (float, float)
        Least and largest proportion, width / height, relative to the proportion of the network's input.
    """

    scale: Tuple[float, float] = (0.08, 1.0)
    ratio: Tuple[float, float] = (3 / 4, 4 / 3)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the random numbers of `count` images, (count, TRIES, 4): they do not depend on the images."""
        return rng.random((count, TRIES, 4))

    def box(self, width: int, height: int, draws: np.ndarray, proportion: float = 1.0) -> Box:
        """Return the part of an image, in pixels.

        The area is uniform within `scale`, and the logarithm of the proportion within that of `ratio`. The first of
        the tries that fits into the image is taken, at a uniform place; if none fits, the middle of the image.

        Parameters
        ----------
        width, height : int
            Of the image, in pixels.
        draws : array (TRIES, 4)
            A row of `draw`.
        proportion : float
            Width / height of the network's input.
        """
        low, high = np.log(self.ratio)
        for area_draw, ratio_draw, across, down in draws.tolist():
            area = width * height * (self.scale[0] + area_draw * (self.scale[1] - self.scale[0]))
            ratio = proportion * float(np.exp(low + ratio_draw * (high - low)))
            box_width, box_height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if 0 < box_width <= width and 0 < box_height <= height:
                left, top = int(across * (width - box_width + 1)), int(down * (height - box_height + 1))
                return float(left), float(top), float(left + box_width), float(top + box_height)
        return FITS["crop"](width, height, proportion)

    def chooser(self, draws: np.ndarray, proportion: float) -> ChooseBox:
        """Return `box` as a function of the width and the height of an image."""
        return functools.partial(self.box, draws=draws, proportion=proportion)

    def read(self, images: FileImages, number: int, draws: np.ndarray) -> np.ndarray:
        """Return the part of an image of a file, scaled to the size of the images, uint8 (H, W, 3)."""
        height, width = images.size
        choose = self.chooser(draws, width / height)
        return read_part(images.files, number, choose, images.size, images.geometry.interpolation, quick=True)
