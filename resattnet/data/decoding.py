"""Read a part of an image file at a size: exactly, as prediction sees it, or quickly, for training.

The exact way is that of `image_files` and `geometry`. JPEG files are decoded by `simplejpeg` where it is installed: it
reaches libjpeg-turbo, which Pillow uses too, without Pillow's detours, and gives the same pixels.

The quick way takes libjpeg-turbo's fast transforms, reduces a JPEG while it is decoded, and scales by OpenCV, if it can
be imported: GluonCV requires `opencv-python`, which needs libraries of the system that a server may not have. Its
pixels differ slightly from the exact ones, and its parts of an image are the same.
"""

from __future__ import annotations

import functools
import importlib
import io
import warnings
from typing import Any, Callable, List, Optional, Protocol, Tuple

import numpy as np
from PIL import Image

from ..system.errors import reason
from .geometry import Box, scale
from .image_files import ORIENTATION_TAG, ORIENTATIONS, read_error, to_rgb

REDUCTIONS = (8, 4, 2)  # the factors by which libjpeg's decoder makes an image smaller in less time
JPEG_MODES = ("RGB", "L")  # other JPEG files, such as CMYK, are left to Pillow

ChooseBox = Callable[[int, int], Box]  # of the width and the height of an image


class Files(Protocol):
    """A list of image files, or of records that hold what image files do."""

    def __len__(self) -> int:
        """Return the number of files."""

    def path(self, number: int) -> str:
        """Return the path of a file, or what messages call a record."""

    def read(self, number: int) -> bytes:
        """Return the contents of a file."""

    def fingerprint(self) -> str:
        """Return a digest of the list."""


@functools.lru_cache(maxsize=None)
def load_simplejpeg() -> Any:
    """Return the package `simplejpeg`; None where it is not installed."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


@functools.lru_cache(maxsize=None)
def load_opencv() -> Any:
    """Return the package `cv2`, which then uses one thread; None where it cannot be imported."""
    try:
        import cv2

        cv2.setNumThreads(0)  # the loader's workers are the threads
    except (ImportError, AttributeError):  # no libGL; two OpenCVs that were installed into one folder
        return None
    return cv2


def missing_packages() -> List[str]:
    """Return what slows the reading of training images here, one line for each package that cannot be imported."""
    lines = []
    if load_simplejpeg() is None:
        lines.append(
            "simplejpeg cannot be imported: Pillow decodes the training images, which takes longer; "
            "python -m pip install simplejpeg"
        )
    if load_opencv() is None:
        lines.append(
            f"OpenCV cannot be imported ({_opencv_fault()}): Pillow scales the training images, which takes longer; "
            "apt-get install libgl1 libglib2.0-0, or python -m pip install --force-reinstall opencv-python-headless"
        )
    return lines


def _opencv_fault() -> str:
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        return reason(error)
    return "its folder is incomplete: two of its packages were installed into one folder"


def read_part(
    files: Files,
    number: int,
    choose_box: ChooseBox,
    size: Tuple[int, int],
    interpolation: str,
    quick: bool = False,
) -> np.ndarray:
    """Return a part of an image file, scaled to a size.

    Parameters
    ----------
    files : Files
    number : int
        Which of the files.
    choose_box : callable
        Returns the part to keep, in pixels of the upright image, from the width and the height of the image.
    size : (int, int)
        Height and width of the result.
    interpolation : str
        'bicubic' or 'bilinear'.
    quick : bool
        Whether the part is read in the quick way.

    Returns
    -------
    uint8 array (H, W, 3)

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        data = files.read(number)
    except (OSError, ValueError) as error:
        raise read_error(files.path(number), error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual files that Pillow reads anyway
            image, box = _decode(data, choose_box, size if quick else None)
            if quick and load_opencv() is not None:
                return _scale_by_opencv(image, box, size, interpolation)
            picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
            return np.asarray(scale(picture, box, size, interpolation))
    except Exception as error:  # for damaged files Pillow raises more kinds of errors than it documents
        raise read_error(files.path(number), error) from error


def read_box_of_jpeg(data: bytes, choose_box: ChooseBox) -> Optional[Box]:
    """Return the part to keep of a JPEG file in RGB or grey that is upright; None of other images.

    Raises
    ------
    ValueError or OSError
        If it is not an image.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.format != "JPEG" or image.mode not in JPEG_MODES or _orientation(image) != 1:
            return None
        return choose_box(*image.size)


def _decode(data: bytes, choose_box: ChooseBox, smallest: Optional[Tuple[int, int]]) -> Tuple[Any, Box]:
    """Return the upright image, in RGB, of Pillow or as an array, and the part to keep, in its pixels.

    With `smallest`, the height and width of the result, in the quick way.
    """
    with Image.open(io.BytesIO(data)) as image:
        turn = _orientation(image)
        if image.format != "JPEG" or image.mode not in JPEG_MODES or turn is None:
            upright = to_rgb(image)
            return upright, choose_box(upright.width, upright.height)
        width, height = (image.height, image.width) if turn >= 5 else image.size
        box = choose_box(width, height)
        decoded = _decode_jpeg(data, image, _reduction(box, smallest) if smallest else 1, bool(smallest))
    if turn in ORIENTATIONS:
        picture = Image.fromarray(decoded) if isinstance(decoded, np.ndarray) else decoded
        decoded = picture.transpose(ORIENTATIONS[turn])
    down, across = (now / before for now, before in zip(_height_and_width(decoded), (height, width)))
    return decoded, (box[0] * across, box[1] * down, box[2] * across, box[3] * down)


def _height_and_width(image: Any) -> Tuple[int, int]:
    return image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)


def _orientation(image: Image.Image) -> Optional[int]:
    """Return the EXIF orientation of an image that is not loaded yet; None if its metadata is broken."""
    if "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises what it meets in broken metadata; `to_rgb` knows what to do then
        return None
    return value if value in ORIENTATIONS or value == 1 else None


def _reduction(box: Box, smallest: Tuple[int, int]) -> int:
    """Return the largest factor by which the image can be reduced while the box stays as large as the result."""
    left, top, right, bottom = box
    height, width = smallest
    for factor in REDUCTIONS:
        if (right - left) / factor >= width and (bottom - top) / factor >= height:
            return factor
    return 1


def _decode_jpeg(data: bytes, image: Image.Image, factor: int, fast: bool) -> Any:
    """Return a JPEG in RGB, reduced by a factor. `image` is the same file, opened by Pillow and not loaded."""
    height, width = (-(-side // factor) for side in (image.height, image.width))
    simplejpeg = load_simplejpeg()
    if simplejpeg is not None:
        try:
            return simplejpeg.decode_jpeg(
                data, "RGB", fastdct=fast, fastupsample=fast, min_height=height, min_width=width, min_factor=factor
            )
        except ValueError:  # a file with faults that Pillow may forgive
            pass
    if factor > 1:
        image.draft(image.mode, (width, height))
    return image.convert("RGB")


def _scale_by_opencv(image: Any, box: Box, size: Tuple[int, int], interpolation: str) -> np.ndarray:
    cv2 = load_opencv()
    height, width = size
    left, top, right, bottom = (round(side) for side in box)
    part = np.asarray(image)[top : max(bottom, top + 1), left : max(right, left + 1)]
    method = {"bicubic": cv2.INTER_CUBIC, "bilinear": cv2.INTER_LINEAR}[interpolation]
    return cv2.resize(part, (width, height), interpolation=method)
