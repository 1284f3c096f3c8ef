"""Bring uploads to the network's size, and make the pictures that the page shows of them."""

from __future__ import annotations

from typing import Any, BinaryIO, Dict, List, NamedTuple, Sequence

import numpy as np

from ..data.image_files import ImageLimits, TooManyPixels, read_image
from ..prediction.classifier import Classifier
from ..reports.pages import picture_address
from ..system.errors import InputError, one_line
from .faults import RequestFault

# Formats that cameras, browsers and scanners write. Pillow reads others too, some of them by outside programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SIDE = 240  # pixels of the longer side of a picture


class Prepared(NamedTuple):
    """An upload, ready for the network.

    Attributes
    ----------
    pixels : uint8 array (H, W, 3)
        At the size of the network's input.
    seen : uint8 array (h, w, 3) or None
        The part that the network sees, as the page shows it, if it is wanted.
    """

    pixels: np.ndarray
    seen: Any = None


def prepare(classifier: Classifier, name: str, file: BinaryIO, max_pixels: int, wants_picture: bool) -> Prepared:
    """Read an upload.

    Raises
    ------
    RequestFault
        If it is no image that can be read, or has too many pixels.
    """
    try:
        image = read_image(file, name, ImageLimits(max_pixels, FORMATS))
        pixels = classifier.pixels(image)
    except TooManyPixels as error:
        raise RequestFault(413, one_line(str(error))) from error
    except InputError as error:
        raise RequestFault(422, one_line(str(error))) from error
    if not wants_picture:
        return Prepared(pixels)
    from ..reports.mask_figures import shown_picture

    return Prepared(pixels, shown_picture(classifier.model.facts.geometry.part(image, classifier.size), SIDE))


def draw(seen: np.ndarray, masks: Sequence[Any]) -> Dict[str, Any]:
    """Return what the page shows of an image: the part that the network sees, and the masks drawn over it.

    Parameters
    ----------
    seen : uint8 array (h, w, 3)
    masks : sequence of AttentionMaps
        Of this image alone.

    Returns
    -------
    dict
        `seen`: the picture as a `data:` URL. `masks`: a dict for each module, with `stage`, `module`, `channels`,
        `height`, `width`, and `maps`, a list of dicts with `title`, `low`, `high` and `picture`.
    """
    return {"seen": picture_address(seen, SIDE, "JPEG"), "masks": [_draw_module(seen, maps) for maps in masks]}


def _draw_module(seen: np.ndarray, maps: Any) -> Dict[str, Any]:
    from ..reports.mask_overlays import overlays, short_number

    _, channels, height, width = maps.mask.shape
    drawn: List[Dict[str, Any]] = []
    for overlay in overlays(maps, 0):
        picture = np.uint8(255 * overlay.blend(seen) + 0.5)
        drawn.append(
            {
                "title": overlay.title.splitlines()[-1],  # the lines before it name the module
                "low": short_number(overlay.low),
                "high": short_number(overlay.high),
                "picture": picture_address(picture, SIDE, "JPEG"),
            }
        )
    return {
        "stage": maps.stage,
        "module": maps.module,
        "channels": channels,
        "height": height,
        "width": width,
        "maps": drawn,
    }
