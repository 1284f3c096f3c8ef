"""RandAugment (arXiv 1909.13719): a number of random operations of one magnitude on each image, by Pillow."""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Tuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

FILL = (128, 128, 128)  # colour of the pixels that a rotation or a shift uncovers
LARGEST = 10  # the magnitude at which an operation has its full strength

Operation = Callable[[Image.Image, float], Image.Image]  # of an image and a strength in -1..1


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, strength: kind(image).enhance(1 + 0.9 * strength)


def _affine(*coefficients: Callable[[float, Image.Image], float]) -> Operation:
    """Return an operation that moves pixels: the six coefficients are functions of strength and image."""

    def apply(image: Image.Image, strength: float) -> Image.Image:
        data = tuple(coefficient(strength, image) for coefficient in coefficients)
        return image.transform(image.size, Image.AFFINE, data, Image.BILINEAR, fillcolor=FILL)

    return apply


def _number(value: float) -> Callable[[float, Image.Image], float]:
    return lambda strength, image: value


def _shear(strength: float, image: Image.Image) -> float:
    return 0.3 * strength


def _shift_across(strength: float, image: Image.Image) -> float:
    return 0.45 * strength * image.width


def _shift_down(strength: float, image: Image.Image) -> float:
    return 0.45 * strength * image.height


ZERO, ONE = _number(0.0), _number(1.0)

# The fourteen operations of the paper, table 6 of AutoAugment (arXiv 1805.09501), with their ranges.
OPERATIONS: Dict[str, Operation] = {
    "identity": lambda image, strength: image,
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
    "rotate": lambda image, strength: image.rotate(30 * strength, Image.BILINEAR, fillcolor=FILL),
    "solarize": lambda image, strength: ImageOps.solarize(image, round(256 * (1 - abs(strength)))),
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    "shear across": _affine(ONE, _shear, ZERO, ZERO, ONE, ZERO),
    "shear down": _affine(ONE, ZERO, ZERO, _shear, ONE, ZERO),
    "shift across": _affine(ONE, ZERO, _shift_across, ZERO, ONE, ZERO),
    "shift down": _affine(ONE, ZERO, ZERO, ZERO, ONE, _shift_down),
}
NAMES: Tuple[str, ...] = tuple(OPERATIONS)


class RandAugment(NamedTuple):
    """Random operations on images: `operations` of `OPERATIONS` for each image, drawn with replacement.

    Attributes
    ----------
    operations : int
        Operations on each image. 0: none.
    magnitude : float
        Strength of the operations, in 0..10. Those that have a direction take either, with equal probability.
    """

    operations: int = 0
    magnitude: float = 0.0

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return changed images, uint8 (N, H, W, 3)."""
        chosen = rng.integers(len(NAMES), size=(len(images), self.operations))
        strengths = self.magnitude / LARGEST * rng.choice((-1, 1), size=chosen.shape)
        changed = np.empty_like(images)
        for number, pixels in enumerate(images):
            image = Image.fromarray(pixels)
            for operation, strength in zip(chosen[number].tolist(), strengths[number].tolist()):
                image = OPERATIONS[NAMES[operation]](image, strength)
            changed[number] = image
        return changed
