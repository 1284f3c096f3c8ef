"""Corruptions of test images, each at five strengths, after CIFAR-10-C (arXiv 1903.12261).

The amounts are those that CIFAR-10-C was made with (`make_cifar_c.py` of https://github.com/hendrycks/robustness);
the code is our own, and so are these choices: values are rounded to whole ones, not cut off; an image has the same
random draws at all strengths, only larger or more of them, so that strengths are compared on equal terms; for images
of other sizes than 32x32 blur is still in pixels of the image. Figures should therefore be near those on the
published files, not equal to them.

All functions take uint8 images (N, H, W, 3) and give new ones of the same shape.
"""

import difflib
import io
from typing import Callable, NamedTuple, Tuple

import numpy as np
from PIL import Image

from ..system.errors import InputError

STRENGTHS = (1, 2, 3, 4, 5)


def gaussian_noise(images, scale, generators):
    """Add normal noise to each value.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
    scale : float
        Standard deviation as a share of white.
    generators : iterable of numpy.random.Generator
        One for each image.
    """
    noisy = np.empty_like(images)
    for image, result, rng in zip(images, noisy, generators):
        result[...] = _to_pixels(image + 255 * scale * rng.standard_normal(image.shape, np.float32))
    return noisy


def impulse_noise(images, share, generators):
    """Set that share of the values, drawn at random in each channel, half of them to 0 and half to 255.

    Parameters: see `gaussian_noise`.
    """
    noisy = images.copy()
    for image, rng in zip(noisy, generators):
        drawn = rng.random(image.shape, np.float32)
        image[drawn < share / 2] = 0
        image[drawn >= 1 - share / 2] = 255
    return noisy


def gaussian_blur(images, sigma):
    """Blur by a Gaussian of `sigma` pixels, cut off at four of them; beyond its edge an image goes on as it ends."""
    from scipy.ndimage import gaussian_filter

    return _to_pixels(gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest", truncate=4))


def jpeg(images, quality):
    """What JPEG of that quality (Pillow's, with its usual halved colours) leaves."""
    return np.stack([_through_jpeg(Image.fromarray(image), quality) for image in images])


def _through_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def pixelate(images, share):
    """Scale to that share of height and width, by the mean of the pixels that a new one covers, and back.

    What was magnified before, as the digits, may be changed less by a smaller share whose grid fits it.
    """
    height, width = images.shape[1:3]
    small = max(1, int(width * share)), max(1, int(height * share))
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize(small, Image.BOX).resize((width, height), Image.BOX))
            for image in images
        ]
    )


def brighten(images, amount):
    """Raise HSV's value, which is a pixel's largest channel, by that share of white; hue and saturation stay."""
    value = images.max(axis=3, keepdims=True).astype(np.float32)
    raised = np.minimum(value + 255 * amount, 255)
    # Black has no hue: it becomes grey.
    return _to_pixels(np.where(value > 0, images * (raised / np.maximum(value, 1)), raised))


def lower_contrast(images, share):
    """Leave that share of the distance of each value from the mean of its image's channel."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return _to_pixels((images - means) * share + means)


def _to_pixels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


class Corruption(NamedTuple):
    """A function, its amount at each of `STRENGTHS`, what that is, and whether it takes generators."""

    function: Callable
    amounts: Tuple[float, ...]
    meaning: str
    random: bool = False


CORRUPTIONS = {
    "noise": Corruption(gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), "standard deviation (white: 1)", True),
    "impulse": Corruption(impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), "share of the values", True),
    "blur": Corruption(gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0), "sigma in pixels"),
    "brightness": Corruption(brighten, (0.05, 0.1, 0.15, 0.2, 0.3), "added to HSV's value"),
    "contrast": Corruption(lower_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), "share that is left"),
    "pixelate": Corruption(pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), "share of height and width"),
    "jpeg": Corruption(jpeg, (80, 65, 58, 50, 40), "quality"),
}


def corrupt(images, name, strength, seed=0, first=0):
    """Images under a corruption; what is random depends on the seed and on an image's number only.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
        Left as they are.
    name : str
        A key of `CORRUPTIONS`.
    strength : int
        One of `STRENGTHS`.
    seed : int
    first : int
        The number of the first image in its data set; the others follow.

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
        raise InputError(f"strength {strength}: choose from {', '.join(map(str, STRENGTHS))}")
    function, amounts, _, random = CORRUPTIONS[name]
    amount = amounts[strength - 1]
    if not random:
        return function(images, amount)
    return function(images, amount, (np.random.default_rng((seed, first + row)) for row in range(len(images))))


def check_name(name, flag=""):
    """The name itself; an InputError with the nearest ones, that begins with `flag`, if there is no such corruption."""
    if name in CORRUPTIONS:
        return name
    near = difflib.get_close_matches(name, CORRUPTIONS, 3, 0.4)
    raise InputError(
        "{}{}: no such corruption; {}".format(
            flag, name or "''", "the nearest: " + ", ".join(near) if near else "choose from " + ", ".join(CORRUPTIONS)
        )
    )


def parse_names(text):
    """The corruptions that `--corruptions` names, each once: 0 none, 1 all, else names with commas between."""
    if text in ("0", "1"):
        return tuple(CORRUPTIONS) if text == "1" else ()
    return tuple(dict.fromkeys(check_name(name.strip(), "--corruptions ") for name in text.split(",")))
