"""What is done to a batch of images and labels before the network sees it: pure NumPy, randomness an argument.

What works on uint8 returns a new array. What comes after it, `cutout`, `mixup` and `cutmix`, works in place: fresh
memory for a second batch of float32 costs more than all the arithmetic.
"""

from typing import NamedTuple, Optional, Tuple

import numpy as np

BLOCK = 16  # images blended at a time, so that what is in between stays in the cache


def random_crop(images, pad, rng):
    """Pad with zeros and cut each image out again at a random place (section 4.1: padded by 4).

    Parameters
    ----------
    images : uint8 array (N, H, W, C)
    pad : int
        Pixels added on each side.
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


def random_flip(images, rng):
    """Mirror each image (N, C, H, W) left to right with probability one half."""
    mirrored = rng.random(len(images)) < 0.5
    images = images.copy()
    images[mirrored] = images[mirrored, ..., ::-1]
    return images


def normalise(images, mean, std):
    """Scale uint8 images (N, C, H, W) to float32, each channel to (x / 255 - mean) / std."""
    mean, std = (np.asarray(value, np.float32)[:, None, None] for value in (mean, std))
    scaled = images.astype(np.float32, order="C")
    scaled *= 1 / (255 * std)
    scaled -= mean / std
    return scaled


def cutout(images, side, rng):
    """Erase one square of each image, in place (arXiv 1708.04552).

    Parameters
    ----------
    images : float32 array (N, C, H, W)
        Normalised, so that 0 is the mean.
    side : int
        Of the square in pixels. Its centre is anywhere in the image; what lies outside is clipped.
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


def smooth(labels, classes, epsilon):
    """Labels (N,) as float32 targets (N, classes), 1 - epsilon on the label, epsilon / (classes - 1) elsewhere."""
    off = epsilon / (classes - 1) if classes > 1 else 0.0
    targets = np.full((len(labels), classes), off, np.float32)
    targets[np.arange(len(labels)), labels] = 1 - epsilon
    return targets


def mixup(images, targets, alpha, rng):
    """Blend a batch with itself in reverse order, in place (arXiv 1710.09412, equation 1).

    Which two images meet is random where the order of the batch is.

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


def _blend(part, weight):
    """Blend each row of an array, which has this weight, with the one as far from the end, in place."""
    half = len(part) // 2
    for begin in range(0, half, BLOCK):
        rows = slice(begin, min(begin + BLOCK, half))
        ours, theirs = part[rows], part[::-1][rows]
        exchanged = theirs - ours
        exchanged *= 1 - weight
        ours += exchanged
        theirs -= exchanged


def cutmix(images, targets, alpha, rng):
    """Paste a box of the batch in reverse order into it, in place (arXiv 1905.04899, section 3.1).

    The box is the same for the whole batch: of sqrt(1 - lambda) of the height and of the width, its centre anywhere
    in the image. What lies outside is clipped; the labels are then blended by the areas that are left.

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


def _clipped(length, side, rng):
    """Begin and end of a stretch of this length with its centre anywhere in 0..side, clipped to that."""
    begin = int(rng.integers(side)) - length // 2
    return max(begin, 0), min(begin + length, side)


def label_noise(labels, classes, noise, seed):
    """Labels of a whole training set with a share of wrong ones (section 4.1).

    Parameters
    ----------
    labels : int32 array (N,)
    classes : int
        At least 2.
    noise : float
        A label is kept with probability 1 - noise, else becomes one of the others, each as likely.
    seed : int
        The same labels for the same seed.

    Returns
    -------
    int32 array (N,)
    """
    rng = np.random.default_rng((seed, 0, 0, 1))  # unlike those of the order (seed, epoch) and of any batch
    wrong = rng.random(len(labels)) < noise
    others = rng.integers(1, classes, len(labels))
    return np.where(wrong, (labels + others) % classes, labels).astype(labels.dtype)


class Transform(NamedTuple):
    """From a cut of the data set to a batch: crop, flip, normalise, erase, smooth, mix.

    Called with the uint8 images (N, H, W, C), their labels (N,), the epoch and the number of the batch
    in it; all its randomness comes from these and `seed`, so that any worker makes the same batch.

    Attributes
    ----------
    mean, std : tuple of float
        Of each channel, in units of the whole range.
    classes : int
    pad : int
        Padding of the random crop; 0 does not crop.
    flip : bool
        Mirror at random.
    cutout : int
        Side of the square to erase; 0 erases none.
    epsilon : float
        Label smoothing.
    alpha : float
        Mixup; 0 does not mix.
    cut_alpha : float
        CutMix; 0 does not cut. With both, each batch has one of the two, with equal probability.
    mix_epochs : int or None
        Mixup and CutMix end before this epoch (counted from 0); None mixes always.
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

    @property
    def soft_labels(self):
        """Whether labels come as float32 (N, classes) rather than int32 (N,)."""
        return self.has_mixing or self.epsilon > 0

    @property
    def has_mixing(self):
        """Whether there are epochs of mixup or CutMix."""
        return self.alpha > 0 or self.cut_alpha > 0

    def mixes_in(self, epoch):
        """Whether mixup or CutMix is on in this epoch, counted from 0."""
        return self.has_mixing and (self.mix_epochs is None or epoch < self.mix_epochs)

    def rng(self, epoch, batch):
        """The random generator of a batch."""
        return np.random.default_rng((self.seed, epoch, batch))

    def __call__(self, images, labels, epoch=0, batch=0):
        rng = self.rng(epoch, batch)
        images = random_crop(images, self.pad, rng) if self.pad else images.transpose(0, 3, 1, 2)
        if self.flip:
            images = random_flip(images, rng)
        return self.finish(normalise(images, self.mean, self.std), labels, epoch, rng)

    def finish(self, images, labels, epoch, rng):
        """What follows the geometry: erase, smooth, mix; in place, on float32 images (N, C, H, W), normalised."""
        if self.cutout:
            images = cutout(images, self.cutout, rng)
        if self.soft_labels:
            labels = smooth(labels, self.classes, self.epsilon)
        if self.mixes_in(epoch):
            cuts = self.cut_alpha > 0 and (not self.alpha or rng.random() < 0.5)
            images, labels = (
                cutmix(images, labels, self.cut_alpha, rng) if cuts else mixup(images, labels, self.alpha, rng)
            )
        return images, labels
