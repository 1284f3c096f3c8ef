"""Transforms of a batch of images and labels before the network sees it: pure NumPy, randomness as an argument.

Functions of uint8 images return a new array. Later ones, such as `cutout`, work in place: new memory for a second
float32 batch costs more time than all the arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .augmentation import ColourJitter, random_erasing
from .mixing import cutmix, mixup, smooth
from .rand_augment import RandAugment


def random_crop(images: np.ndarray, pad: int, rng: np.random.Generator) -> np.ndarray:
    """Pad with zeros and crop each image to its size at a random place (arXiv 1704.06904, section 4.1, pads by 4).

    Parameters
    ----------
    images : uint8 array (N, H, W, C)
    pad : int
        Number of pixels added on each side.
    rng : numpy.random.Generator

    Returns
    -------
    uint8 array (N, C, H, W)
    """
    count, height, width, channels = images.shape
    padded = np.zeros((count, channels, height + 2 * pad, width + 2 * pad), images.dtype)
    padded[:, :, pad : pad + height, pad : pad + width] = images.transpose(0, 3, 1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    tops, lefts = rng.integers(0, 2 * pad + 1, (2, count))
    return windows[np.arange(count), :, tops, lefts]


def random_flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image (N, C, H, W) left to right with probability one half."""
    mirrored = rng.random(len(images)) < 0.5
    images = images.copy()
    images[mirrored] = images[mirrored, ..., ::-1]
    return images


def normalise(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Scale uint8 images (N, C, H, W) to float32: each channel to (x / 255 - mean) / std."""
    means, stds = (np.asarray(values, np.float32)[:, None, None] for values in (mean, std))
    scaled = images.astype(np.float32, order="C")
    scaled *= 1 / (255 * stds)
    scaled -= means / stds
    return scaled


def cutout(images: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Erase one square of each image, in place (arXiv 1708.04552).

    Parameters
    ----------
    images : float32 array (N, C, H, W)
        Normalised, so that 0 is the mean.
    side : int
        Side of the square in pixels. Its centre is anywhere in the image; parts outside the image are clipped.
    rng : numpy.random.Generator

    Returns
    -------
    float32 array (N, C, H, W)
        `images`.
    """
    centres = rng.integers(0, images.shape[2:], (len(images), 2))
    begins, ends = np.maximum(centres - side // 2, 0), centres - side // 2 + side
    for image, (top, left), (bottom, right) in zip(images, begins.tolist(), ends.tolist()):
        image[:, top:bottom, left:right] = 0
    return images


class Transform(NamedTuple):
    """Transform of a batch of a data set: operations, crop, flip, colours, normalise, erase, smooth, mix.

    It is called with the uint8 images (N, H, W, C), their labels (N,), the epoch, and the number of the batch in the
    epoch. All its randomness comes from epoch, number and `seed`, so that any worker makes the same batch.

    Attributes
    ----------
    mean, std : tuple of float
        Mean and standard deviation of each channel, for pixels in 0..1.
    classes : int
        Number of classes.
    pad : int
        Padding of the random crop in pixels. 0: no crop.
    flip : bool
        Whether half of the images, drawn at random, are mirrored.
    rand_augment : RandAugment
        Random operations on each image, before all else.
    jitter : ColourJitter
        Random changes of the colours.
    cutout : int
        Side of the erased square in pixels. 0: nothing is erased.
    erasing : float
        Probability that an image loses a box: see `random_erasing`.
    epsilon : float
        Label smoothing: see `smooth`.
    alpha : float
        Parameter of mixup. 0: no mixup.
    cut_alpha : float
        Parameter of CutMix. 0: no CutMix. With both, each batch has one of the two, with equal probability.
    mix_epochs : int or None
        Mixup and CutMix end before this epoch, counted from 0. None: they never end.
    seed : int
    """

    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    classes: int
    pad: int = 0
    flip: bool = False
    cutout: int = 0
    epsilon: float = 0.0
    alpha: float = 0.0
    cut_alpha: float = 0.0
    mix_epochs: Optional[int] = None
    seed: int = 0
    rand_augment: RandAugment = RandAugment()
    jitter: ColourJitter = ColourJitter()
    erasing: float = 0.0

    @property
    def soft_labels(self) -> bool:
        """Whether labels are float32 (N, classes) rather than int32 (N,)."""
        return self.has_mixing or self.epsilon > 0

    @property
    def has_mixing(self) -> bool:
        """Whether there are epochs of mixup or CutMix."""
        return self.alpha > 0 or self.cut_alpha > 0

    def mixes_in(self, epoch: int) -> bool:
        """Return whether batches of this epoch, counted from 0, have mixup or CutMix."""
        return self.has_mixing and (self.mix_epochs is None or epoch < self.mix_epochs)

    def rng(self, epoch: int, batch: int) -> np.random.Generator:
        """Return the random generator of a batch."""
        return np.random.default_rng((self.seed, epoch, batch))

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, epoch: int = 0, batch: int = 0
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Return float32 images (N, C, H, W), and labels int32 (N,) or float32 (N, classes)."""
        rng = self.rng(epoch, batch)
        if self.rand_augment.operations:
            images = self.rand_augment(images, rng)
        images = random_crop(images, self.pad, rng) if self.pad else images.transpose(0, 3, 1, 2)
        if self.flip:
            images = random_flip(images, rng)
        if any(self.jitter):
            images = self.jitter(images, rng)
        return self.finish(normalise(images, self.mean, self.std), labels, epoch, rng)

    def finish(
        self, images: np.ndarray, labels: np.ndarray, epoch: int, rng: np.random.Generator
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Apply the steps after geometry and normalisation: erase, smooth, mix.

        Works in place on normalised float32 images (N, C, H, W).
        """
        if self.cutout:
            images = cutout(images, self.cutout, rng)
        if self.erasing:
            images = random_erasing(images, self.erasing, rng)
        if self.soft_labels:
            labels = smooth(labels, self.classes, self.epsilon)
        if self.mixes_in(epoch):
            if self.cut_alpha > 0 and (not self.alpha or rng.random() < 0.5):
                return cutmix(images, labels, self.cut_alpha, rng)
            return mixup(images, labels, self.alpha, rng)
        return images, labels
