"""The rule by which an image of any size becomes one of the network's size.

Records, predictions, masks and exported files follow the same rule. It is one of the facts of a data set, and travels
with the parameters that were trained on it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Tuple

from ..system.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

Box = Tuple[float, float, float, float]  # left, top, right, bottom, in pixels


def _middle(width: int, height: int, proportion: float) -> Box:
    """Return the largest box in the middle of an image whose width is `proportion` times its height."""
    if width > height * proportion:
        left = (width - height * proportion) / 2
        return left, 0.0, width - left, float(height)
    top = (height - width / proportion) / 2
    return 0.0, top, float(width), height - top


def _whole(width: int, height: int, _: float) -> Box:
    """Return the box of the whole image."""
    return 0.0, 0.0, float(width), float(height)


# Where a part of an image lies, across and down, in 0..1: the middle and the corners, as in ten-crop evaluation.
PLACES = ((0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
# The part of an image that is kept, by name: a function of width, height and the proportion width / height to reach.
FITS: Dict[str, Callable[[int, int, float], Box]] = {"crop": _middle, "squash": _whole}
INTERPOLATIONS = ("bicubic", "bilinear")


@dataclass(frozen=True)
class Geometry:
    """How an image of any size becomes one of the network's size.

    Parameters
    ----------
    fit : str
        'crop': the middle of the image in the network's proportions. 'squash': the whole image, whatever its
        proportions.
    interpolation : str
        'bicubic' or 'bilinear'. Pillow's interpolations average the pixels where they make an image smaller.
    crop_ratio : float
        With 'crop': side of the part that is kept, relative to the largest part of these proportions. 0.875 is the
        usual "scale the shorter side to 256, crop 224".
    """

    fit: str = "crop"
    interpolation: str = "bicubic"
    crop_ratio: float = 1.0

    def box(self, width: int, height: int, size: Tuple[int, int]) -> Box:
        """Return the part of an image that the network sees: left, top, right and bottom, in pixels.

        Parameters
        ----------
        width, height : int
            Of the image, in pixels.
        size : (int, int)
            Height and width of the network's input.
        """
        left, top, right, bottom = FITS[self.fit](width, height, size[1] / size[0])
        across, down = ((1 - self.crop_ratio) * side / 2 for side in (right - left, bottom - top))
        return left + across, top + down, right - across, bottom - down

    def moved(self, width: int, height: int, size: Tuple[int, int], place: Tuple[float, float]) -> Box:
        """Return the part that the network sees, moved within the image to one of `PLACES`."""
        left, top, right, bottom = self.box(width, height, size)
        across, down = place[0] * (width - (right - left)) - left, place[1] * (height - (bottom - top)) - top
        return left + across, top + down, right + across, bottom + down

    def apply(self, image: Image.Image, size: Tuple[int, int]) -> Image.Image:
        """Return an image at the size (height, width) of the network's input.

        With a `crop_ratio` of 1, an image at that size already is unchanged.
        """
        return scale(image, self.box(image.width, image.height, size), size, self.interpolation)

    def part(self, image: Image.Image, size: Tuple[int, int]) -> Image.Image:
        """Return the part of an image that the network of input size (height, width) sees, at the image's own scale."""
        left, top, right, bottom = map(round, self.box(image.width, image.height, size))
        return image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))

    def to_dict(self) -> Dict[str, Any]:
        """Return the rule as a dict of JSON types; without a `crop_ratio` of 1, which earlier versions do not know."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name != "crop_ratio" or value != 1}

    @classmethod
    def from_dict(cls, values: Optional[Mapping[str, Any]]) -> Geometry:
        """Return the rule from a dict that `to_dict` made, or the default rule from None.

        Raises
        ------
        InputError
            If the rule is none that this version knows.
        """
        if values is None:
            return cls()
        fit, interpolation, ratio = values.get("fit"), values.get("interpolation"), values.get("crop_ratio", 1.0)
        known = fit in FITS and interpolation in INTERPOLATIONS and not set(values) - set(dataclasses.asdict(DEFAULT))
        if not known or type(ratio) not in (int, float) or not 0 < ratio <= 1 or (fit != "crop" and ratio != 1):
            raise InputError(f"this version of resattnet does not know the geometry {dict(values)}")
        return cls(str(fit), str(interpolation), float(ratio))

    def __str__(self) -> str:
        return " ".join(f"{value:g}" if isinstance(value, float) else value for value in self.to_dict().values())


def scale(image: Image.Image, box: Box, size: Tuple[int, int], interpolation: str) -> Image.Image:
    """Return a part of an image, scaled to a size (height, width)."""
    from PIL import Image  # here, since the facts of a data set do not need it

    height, width = size
    return image.resize((width, height), getattr(Image, interpolation.upper()), box)


DEFAULT = Geometry()
