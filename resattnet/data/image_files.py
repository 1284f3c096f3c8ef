"""Image files of any format, mode and size, as RGB images of 8 bits."""

from __future__ import annotations

import contextlib
import warnings
from typing import BinaryIO, NamedTuple, Optional, Tuple, Union

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..system.errors import InputError, Remark, remark
from ..system.input_files import check_regular

ALPHA_MODES = ("RGBA", "RGBa", "LA", "PA", "P")  # the colours of a palette (P) may have alpha
SIXTEEN_BIT_FORMATS = ("PNG", "PPM")  # formats whose 16 bits some versions of Pillow read as 32 bits

ORIENTATION_TAG = 0x0112
ORIENTATIONS = {  # how to turn an image upright, by the EXIF orientation; 1 is upright
    2: Image.FLIP_LEFT_RIGHT,
    3: Image.ROTATE_180,
    4: Image.FLIP_TOP_BOTTOM,
    5: Image.TRANSPOSE,
    6: Image.ROTATE_270,
    7: Image.TRANSVERSE,
    8: Image.ROTATE_90,
}


class TooManyPixels(InputError):
    """An image has more pixels than `ImageLimits` allow."""


class ImageLimits(NamedTuple):
    """What is read of images that strangers send.

    Attributes
    ----------
    pixels : int
        Largest number of pixels, checked before they are decoded.
    formats : tuple of str
        The formats that are read, as Pillow names them.
    """

    pixels: int
    formats: Tuple[str, ...]

    def fault(self, name: str, size: str) -> TooManyPixels:
        """Return the error of an image that has more pixels."""
        return TooManyPixels(f"{name}: {size} pixels: an image may have {self.pixels} pixels")


def to_rgb(image: Image.Image, name: Optional[str] = None) -> Image.Image:
    """Return a Pillow image of any mode as RGB, upright by its EXIF orientation. Of several frames, return the first.

    Transparent pixels are laid on white. 16 bits are rounded to 8. Colour profiles are not applied.

    Parameters
    ----------
    image : PIL.Image.Image
    name : str, optional
        Name of the image in a remark; default: that of its file.

    Raises
    ------
    ValueError
        If the pixels have 32 bits, for which the value of white is unknown, or Pillow cannot convert the mode.
    """
    image.load()
    name = name or str(getattr(image, "filename", "") or "image")
    sixteen_bits = image.mode.startswith("I;16") or image.mode == "I" and image.format in SIXTEEN_BIT_FORMATS
    image = _upright(image, name)
    if sixteen_bits:
        return _from_sixteen_bits(image)
    if image.mode[0] in "IF":
        raise ValueError("its pixels are 32-bit numbers, for which no white level is defined")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Return an image turned by its EXIF orientation; where the metadata is broken, warn and use what can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow rewrites all metadata here, and raises what it meets in broken ones
        method = None
        with contextlib.suppress(Exception):
            method = ORIENTATIONS.get(image.getexif().get(ORIENTATION_TAG))
    used = "only the orientation in it is used" if method is not None else "it is ignored"
    remark(f"{name}: its EXIF metadata is broken: {used}")
    return image if method is None else image.transpose(method)


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey).convert("RGB")


def read_image(
    source: Union[str, BinaryIO], name: Optional[str] = None, limits: Optional[ImageLimits] = None
) -> Image.Image:
    """Read an image file, and return the image as `to_rgb` does.

    Parameters
    ----------
    source : path or binary file
        A file is read from its beginning.
    name : str, optional
        Name of the image in messages; default: the path.
    limits : ImageLimits, optional
        Default: every format of Pillow's, with Pillow's own limit of pixels.

    Raises
    ------
    TooManyPixels
        If the image has more pixels than the limits allow.
    InputError
        If the file cannot be read.
    """
    name = str(source) if name is None else name
    formats = limits.formats if limits else None
    try:
        with warnings.catch_warnings():
            # Pillow's warnings about unusual files that it reads anyway.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", Remark)
            if isinstance(source, str):
                check_regular(source)
            with Image.open(source, formats=formats) as image:
                if limits and image.width * image.height > limits.pixels:
                    raise limits.fault(name, f"{image.width}x{image.height}")
                return to_rgb(image, name)
    except TooManyPixels:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit
        raise limits.fault(name, _stated_size(source, limits.formats)) if limits else read_error(name, error) from error
    except Exception as error:  # for damaged files Pillow raises more kinds of errors than it documents
        raise read_error(name, error, formats) from error


def _stated_size(source: Union[str, BinaryIO], formats: Tuple[str, ...]) -> str:
    """Return the size in the head of an image file that Pillow does not open because of its own limit of pixels."""
    for make, accepts in (Image.OPEN[each] for each in formats):
        with contextlib.suppress(Exception):  # the file has another format, or is damaged
            with open(source, "rb") if isinstance(source, str) else contextlib.nullcontext(source) as file:
                file.seek(0)
                if accepts is None or accepts(file.read(16)):
                    file.seek(0)
                    with make(file, "") as image:
                        return f"{image.width}x{image.height}"
    return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)}"  # the frames of some formats have sizes of their own


def read_error(path: str, error: Exception, formats: Optional[Tuple[str, ...]] = None) -> InputError:
    """Return the error of an image file that cannot be read, from what was raised.

    Parameters
    ----------
    path : str
        Name of the image.
    error : Exception
    formats : tuple of str, optional
        The formats that are read, where not all are.
    """
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{path}: cannot be read ({error.strerror})")
    if isinstance(error, UnidentifiedImageError):  # its text names the file again, or an object in memory
        fault = f"its format is none of {', '.join(formats)}" if formats else "its format is not known"
        return InputError(f"{path}: not an image that can be read ({fault})")
    fault = (str(error) or type(error).__name__).splitlines()[0]
    return InputError(f"{path}: not an image that can be read ({fault})")
