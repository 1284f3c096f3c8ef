"""Images of the user's, of any format, mode and size, as RGB of 8 bits."""

import os
import sys
import warnings

import numpy as np
from PIL import Image, ImageOps

from ..system.errors import InputError

ALPHA_MODES = ("RGBA", "RGBa", "LA", "PA", "P")  # a palette's colours may have it
SIXTEEN_BIT_FORMATS = ("PNG", "PPM")  # of which Pillow, according to its version, reads these as 32 bits


def to_rgb(image):
    """A Pillow image of any mode as RGB, upright by its EXIF orientation, the first one of several.

    What is transparent is laid on white; 16 bits are rounded to 8; colour profiles are not applied.

    Raises
    ------
    ValueError
        If its pixels are of 32 bits, whose white is unknown, or of a mode that Pillow cannot convert.
    """
    image.load()
    sixteen_bits = image.mode.startswith("I;16") or image.mode == "I" and image.format in SIXTEEN_BIT_FORMATS
    image = ImageOps.exif_transpose(image)
    if sixteen_bits:
        return _from_sixteen_bits(image)
    if image.mode[0] in "IF":
        raise ValueError("its pixels are numbers of 32 bits, of which none is known to be white")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _from_sixteen_bits(image):
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey).convert("RGB")


def read_image(path):
    """An image file, as `to_rgb` gives it.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd files that it reads all the same
            with Image.open(path) as image:
                return to_rgb(image)
    except Exception as error:  # damaged files make Pillow raise more kinds than it names
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not an image that can be read ({reason})") from error


def find_images(names, stdin=None):
    """The files that a command line names: files as they are, folders walked, `-` for names from stdin, one a line.

    Parameters
    ----------
    names : iterable of str
    stdin : iterable of str, optional
        Default: that of the process.

    Returns
    -------
    list of str
        Of folders the files whose ending is that of a format that Pillow reads, in the order of their names, each
        folder's own before those of its sub-folders; hidden files and folders are left out.

    Raises
    ------
    InputError
        If a folder has none or cannot be read, or nothing is named.
    """
    listed = []
    for name in names:
        if name == "-":
            lines = (line.rstrip("\n") for line in (sys.stdin if stdin is None else stdin))
            listed.extend(line for line in lines if line)
        else:
            listed.append(name)
    files = []
    for name in listed:
        files.extend(_walk(name) if os.path.isdir(name) else [name])
    if not files:
        raise InputError("no images are named: give files, folders, or - and their names on stdin")
    return files


def _walk(folder):
    def refuse(error):
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        files.extend(
            os.path.join(place, name)
            for name in sorted(names)
            if name[0] != "." and os.path.splitext(name)[1].lower() in endings
        )
    if not files:
        raise InputError(f"{folder}: no images in this folder")
    return files
