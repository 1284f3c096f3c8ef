"""Change colours of training images and erase parts of them: for a whole batch at once, randomness as an argument."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # weight of each channel in the brightness (ITU-R BT.601)
YIQ = np.array([GREY, [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])  # brightness, and two axes of colour
# Principal components of the colours of ImageNet's training images, and their standard deviations, for pixels in
# 0..1: the figures of the AlexNet implementations (section 4.1 of the AlexNet paper, NIPS 2012).
COMPONENTS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32)
DEVIATIONS = np.array([0.2175, 0.0188, 0.0045], np.float32)
ERASED_AREA = (0.02, 1 / 3)  # arXiv 1708.04896, table 1, with the upper limit that trainers use today
ERASED_RATIO = (0.3, 1 / 0.3)
TRIES = 10  # draws of a box before an image is left whole


class ColourJitter(NamedTuple):
    """Random changes of the colours of images.

    Each change is an affine map of the colours of an image, and so is their sequence. It is computed for the image and
    applied once.

    Attributes
    ----------
    strength : float
        Brightness, contrast and saturation are each multiplied by a factor in 1 - strength .. 1 + strength.
    hue : float
        Colours are turned by up to this part of half a circle, in 0..1.
    lighting : float
        Standard deviation of the weights of ImageNet's principal components of colour that are added to all pixels.
    """

    strength: float = 0.0
    hue: float = 0.0
    lighting: float = 0.0

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return changed images, uint8 (N, 3, H, W), in the order brightness, contrast, saturation, hue, lighting."""
        count = len(images)
        factors = 1 + self.strength * rng.uniform(-1, 1, (3, count))
        angles = np.pi * self.hue * rng.uniform(-1, 1, count)
        weights = self.lighting * rng.standard_normal((count, 3))
        means = images.mean(axis=(2, 3), dtype=np.float64) @ GREY
        changed = np.empty_like(images)
        for number, image in enumerate(images):
            matrix, shift = colour_map(factors[:, number], angles[number], means[number])
            shift = shift + 255 * (COMPONENTS @ (weights[number] * DEVIATIONS))
            values = matrix.astype(np.float32) @ image.reshape(3, -1).astype(np.float32)
            values += shift.astype(np.float32)[:, None]
            changed[number] = np.rint(values.clip(0, 255, values), values).reshape(image.shape)
        return changed


def colour_map(factors: np.ndarray, angle: float, mean: float) -> tuple:
    """Return the map of colours that changes brightness, contrast, saturation and hue, in this order.

    Parameters
    ----------
    factors : array (3,)
        Of brightness, contrast and saturation. The contrast is relative to the mean brightness of the image, the
        saturation to the brightness of the pixel.
    angle : float
        Of the hue, in radians.
    mean : float
        Mean brightness of the image.

    Returns
    -------
    matrix : array (3, 3)
    shift : array (3,)
        A pixel becomes ``matrix @ pixel + shift``.
    """
    brightness, contrast, saturation = factors
    matrix = np.eye(3) * brightness * contrast
    shift = np.full(3, (1 - contrast) * brightness * mean)
    saturate = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), GREY)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.linalg.inv(YIQ) @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ YIQ
    return turn @ saturate @ matrix, turn @ saturate @ shift


def random_erasing(images: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Erase a box of random area and proportions of some images, in place (arXiv 1708.04896, algorithm 1).

    Parameters
    ----------
    images : float32 array (N, C, H, W)
        Normalised, so that 0 is the mean, which the box is filled with.
    probability : float
        Of an image to lose a box.
    rng : numpy.random.Generator

    Returns
    -------
    float32 array (N, C, H, W)
        `images`.
    """
    count, _, height, width = images.shape
    chosen = rng.random(count) < probability
    draws = rng.random((count, TRIES, 4))
    low, high = np.log(ERASED_RATIO)
    areas = height * width * (ERASED_AREA[0] + draws[..., 0] * (ERASED_AREA[1] - ERASED_AREA[0]))
    ratios = np.exp(low + draws[..., 1] * (high - low))
    heights, widths = (np.rint(np.sqrt(value)).astype(int) for value in (areas * ratios, areas / ratios))
    fits = (heights < height) & (widths < width)
    for number in np.flatnonzero(chosen & fits.any(axis=1)):
        best = fits[number].argmax()
        box_height, box_width = heights[number, best], widths[number, best]
        top = int(draws[number, best, 2] * (height - box_height + 1))
        left = int(draws[number, best, 3] * (width - box_width + 1))
        images[number, :, top : top + box_height, left : left + box_width] = 0
    return images
