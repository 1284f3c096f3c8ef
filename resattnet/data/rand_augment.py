"""RandAugment (arXiv 1909.13719): a number of random operations of one magnitude on each image, by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Tuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image  # loaded only where images are changed

FILL = (128, 128, 128)  # colour of the pixels that a rotation or a shift uncovers
LARGEST = 10  # the magnitude at which an operation has its full strength

Operation = Callable[[Any, float], Any]  # of a Pillow image and a strength in -1..1


def _enhance(kind: str) -> Operation:
    """Return an operation of Pillow's `ImageEnhance`."""

    def apply(image: Image.Image, strength: float) -> Image.Image:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, kind)(image).enhance(1 + 0.9 * strength)

    return apply


def _map(kind: str, *arguments: Callable[[float], Any]) -> Operation:
    """Return an operation of Pillow's `ImageOps`, whose arguments are functions of the strength."""

    def apply(image: Image.Image, strength: float) -> Image.Image:
        from PIL import ImageOps

        return getattr(ImageOps, kind)(image, *(argument(strength) for argument in arguments))

    return apply


def _rotate(image: Image.Image, strength: float) -> Image.Image:
    from PIL import Image

    return image.rotate(30 * strength, Image.BILINEAR, fillcolor=FILL)


def _affine(*coefficients: Callable[[float, Any], float]) -> Operation:
    """Return an operation that moves pixels: the six coefficients are functions of strength and image."""

    def apply(image: Image.Image, strength: float) -> Image.Image:
        from PIL import Image

        data = tuple(coefficient(strength, image) for coefficient in coefficients)
        return image.transform(image.size, Image.AFFINE, data, Image.BILINEAR, fillcolor=FILL)

    return apply


def _number(value: float) -> Callable[[float, Any], float]:
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
    "autocontrast": _map("autocontrast"),
    "equalize": _map("equalize"),
    "rotate": _rotate,
    "solarize": _map("solarize", lambda strength: round(256 * (1 - abs(strength)))),
    "posterize": _map("posterize", lambda strength: 8 - round(4 * abs(strength))),
    "color": _enhance("Color"),
    "contrast": _enhance("Contrast"),
    "brightness": _enhance("Brightness"),
    "sharpness": _enhance("Sharpness"),
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
        from PIL import Image

        chosen = rng.integers(len(NAMES), size=(len(images), self.operations))
        strengths = self.magnitude / LARGEST * rng.choice((-1, 1), size=chosen.shape)
        changed = np.empty_like(images)
        for number, pixels in enumerate(images):
            image = Image.fromarray(pixels)
            for operation, strength in zip(chosen[number].tolist(), strengths[number].tolist()):
                image = OPERATIONS[NAMES[operation]](image, strength)
            changed[number] = image
        return changed
