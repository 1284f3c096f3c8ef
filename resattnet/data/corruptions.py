"""Corruptions of test images, each at five strengths, after CIFAR-10-C (arXiv 1903.12261).

The amounts are those of CIFAR-10-C (`make_cifar_c.py` of https://github.com/hendrycks/robustness). The code is our
own, and makes these choices:

- Values are rounded to integers, not truncated.
- An image has the same random draws at all strengths, only scaled, or with more draws. Strengths are thus compared on
  equal terms.
- Blur is in pixels of the image, also for images that are not 32x32.

Accuracies should therefore be close to those on the published files, not equal to them.

All functions take uint8 images (N, H, W, 3) and return new images of the same shape.
"""

from __future__ import annotations

import io
from typing import Callable, Dict, Iterable, NamedTuple, Tuple

import numpy as np
from PIL import Image

from ..system.errors import InputError
from ..system.suggestions import suggest

STRENGTHS = (1, 2, 3, 4, 5)


def gaussian_noise(images: np.ndarray, scale: float, generators: Iterable[np.random.Generator]) -> np.ndarray:
    """Add normal noise to each value.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
    scale : float
        Standard deviation as a fraction of white.
    generators : iterable of numpy.random.Generator
        One for each image.
    """
    noisy = np.empty_like(images)
    for image, result, rng in zip(images, noisy, generators):
        result[...] = _to_pixels(image + 255 * scale * rng.standard_normal(image.shape, np.float32))
    return noisy


def impulse_noise(images: np.ndarray, fraction: float, generators: Iterable[np.random.Generator]) -> np.ndarray:
    """Set a `fraction` of the values, drawn at random in each channel: half of them to 0, half to 255.

    For the other parameters see `gaussian_noise`.
    """
    noisy = images.copy()
    for image, rng in zip(noisy, generators):
        drawn = rng.random(image.shape, np.float32)
        image[drawn < fraction / 2] = 0
        image[drawn >= 1 - fraction / 2] = 255
    return noisy


def gaussian_blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian of `sigma` pixels, truncated at four sigma. Edge pixels are repeated beyond the edge."""
    from scipy.ndimage import gaussian_filter

    return _to_pixels(gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest", truncate=4))


def jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    """Compress as JPEG of a quality (Pillow's scale, with its default chroma subsampling) and decompress."""
    return np.stack([_through_jpeg(Image.fromarray(image), quality) for image in images])


def _through_jpeg(image: Image.Image, quality: int) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def pixelate(images: np.ndarray, fraction: float) -> np.ndarray:
    """Scale to a `fraction` of height and width with a box filter, and back.

    Images that were enlarged before, such as the digits, may change less at a smaller fraction whose grid fits theirs.
    """
    height, width = images.shape[1:3]
    small = max(1, int(width * fraction)), max(1, int(height * fraction))
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize(small, Image.BOX).resize((width, height), Image.BOX))
            for image in images
        ]
    )


def brighten(images: np.ndarray, amount: float) -> np.ndarray:
    """Raise the value of HSV, a pixel's largest channel, by a fraction of white. Hue and saturation stay."""
    value = images.max(axis=3, keepdims=True).astype(np.float32)
    raised = np.minimum(value + 255 * amount, 255)
    # Black has no hue, so it becomes grey.
    return _to_pixels(np.where(value > 0, images * (raised / np.maximum(value, 1)), raised))


def lower_contrast(images: np.ndarray, fraction: float) -> np.ndarray:
    """Scale the distance of each value from the mean of its image's channel by `fraction`."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return _to_pixels((images - means) * fraction + means)


def _to_pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


class Corruption(NamedTuple):
    """A corruption: its function, the amount at each of `STRENGTHS`, the meaning of the amount, if it is random."""

    function: Callable
    amounts: Tuple[float, ...]
    meaning: str
    random: bool = False


CORRUPTIONS: Dict[str, Corruption] = {
    "noise": Corruption(gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), "standard deviation (white: 1)", True),
    "impulse": Corruption(impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), "fraction of the values", True),
    "blur": Corruption(gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0), "sigma in pixels"),
    "brightness": Corruption(brighten, (0.05, 0.1, 0.15, 0.2, 0.3), "added to HSV's value"),
    "contrast": Corruption(lower_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), "fraction that is left"),
    "pixelate": Corruption(pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), "fraction of height and width"),
    "jpeg": Corruption(jpeg, (80, 65, 58, 50, 40), "quality"),
}


def corrupt(images: np.ndarray, name: str, strength: int, seed: int = 0, first: int = 0) -> np.ndarray:
    """Return corrupted images. Random draws depend only on the seed and on the number of the image.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
        Not changed.
    name : str
        A key of `CORRUPTIONS`.
    strength : int
        One of `STRENGTHS`.
    seed : int
    first : int
        Number of the first image in its data set. The others follow it.

    Returns
    -------
    uint8 array (N, H, W, 3)

    Raises
    ------
    InputError
        If there is no such corruption or strength.
    """
    check_name(name)
    if strength not in STRENGTHS:
        raise InputError(f"`strength={strength}`: choose from {', '.join(map(str, STRENGTHS))}")
    function, amounts, _, random = CORRUPTIONS[name]
    amount = amounts[strength - 1]
    if not random:
        return function(images, amount)
    return function(images, amount, (np.random.default_rng((seed, first + row)) for row in range(len(images))))


def check_name(name: str) -> str:
    """Return the name of a corruption.

    Raises
    ------
    InputError
        If there is no such corruption. The message suggests the nearest names.
    """
    if name in CORRUPTIONS:
        return name
    advice = suggest(name, CORRUPTIONS) or f"choose from {', '.join(CORRUPTIONS)}"
    shown = name or "''"
    raise InputError(f"`corruptions={shown}`: no such corruption; {advice}")


def parse_names(text: str) -> Tuple[str, ...]:
    """Return the corruptions that a text names, each once.

    Parameters
    ----------
    text : str
        "0" for none, "1" for all, or names separated by commas.

    Raises
    ------
    InputError
        If there is no such corruption.
    """
    if text == "0":
        return ()
    if text == "1":
        return tuple(CORRUPTIONS)
    return tuple(dict.fromkeys(check_name(name.strip()) for name in text.split(",")))
