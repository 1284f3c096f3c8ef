"""Image files of any format, mode and size, as RGB images of 8 bits."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import os
import sys
import warnings
from typing import Any, AnyStr, Counter, FrozenSet, Iterable, Iterator, List, Optional, Sequence, Set, Tuple, Union

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ..system.errors import InputError, Remark, reason, remark
from ..system.input_files import check_regular

ALPHA_MODES = ("RGBA", "RGBa", "LA", "PA", "P")  # the colours of a palette (P) may have alpha
UNREADABLE_FORMATS = ("MPEG",)  # formats that Pillow identifies and cannot decode
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


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a Pillow image of any mode as RGB, upright by its EXIF orientation. Of several frames, return the first.

    Transparent pixels are laid on white. 16 bits are rounded to 8. Colour profiles are not applied.

    Raises
    ------
    ValueError
        If the pixels have 32 bits, for which the value of white is unknown, or Pillow cannot convert the mode.
    """
    image.load()
    name = str(getattr(image, "filename", "") or "image")
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


def read_image(path: str) -> Image.Image:
    """Read an image file, and return the image as `to_rgb` does.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's warnings about unusual files that it reads anyway.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", Remark)
            check_regular(path)
            with Image.open(path) as image:
                return to_rgb(image)
    except Exception as error:  # for damaged files Pillow raises more kinds of errors than it documents
        raise read_error(path, error) from error


def read_error(path: str, error: Exception) -> InputError:
    """Return the error of an image file that cannot be read, from what was raised."""
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{path}: cannot be read ({error.strerror})")
    if isinstance(error, UnidentifiedImageError):  # its text names the file again, or an object in memory
        return InputError(f"{path}: not an image that can be read (its format is not known)")
    fault = (str(error) or type(error).__name__).splitlines()[0]
    return InputError(f"{path}: not an image that can be read ({fault})")


def is_image_name(path: Union[str, bytes]) -> bool:
    """Return whether the name of a file is that of an image: not hidden, with the extension of a format of Pillow's."""
    name = os.fsdecode(os.path.basename(path))
    return not name.startswith(".") and _is_image_ending(os.path.splitext(name)[1])


def keep_images(names: Sequence[AnyStr]) -> Tuple[List[AnyStr], Counter[str]]:
    """Return the names of images among the names of files, and the number of the others by their extension.

    Parameters
    ----------
    names : sequence of str or of bytes
        Different names without a folder, not hidden, as `walk_files` yields them.

    Returns
    -------
    images : list
        The names that `is_image_name` accepts.
    others : Counter of str
        Keys are lower-case extensions with their dot, and the empty text for files without one.
    """
    dot: Any = b"." if names and isinstance(names[0], bytes) else "."
    # For names that do not begin with a dot, the slice is what `splitext` returns, in less time; without any dot, it is
    # a letter, which is no ending.
    images = [name for name in names if _is_image_ending(name[name.rfind(dot) :])]
    others: Counter[str] = collections.Counter()
    if len(images) < len(names):
        rest = set(names).difference(images)
        others.update(os.path.splitext(os.fsdecode(name))[1].lower() for name in rest)
    return images, others


@functools.lru_cache(maxsize=1024)
def _is_image_ending(ending: Union[str, bytes]) -> bool:
    return os.fsdecode(ending).lower() in _endings()


@functools.lru_cache(maxsize=None)
def _endings() -> FrozenSet[str]:
    readable = set()
    for ending, kind in Image.registered_extensions().items():
        factory = Image.OPEN[kind][0] if kind in Image.OPEN and kind not in UNREADABLE_FORMATS else None
        # A stub knows the format by name only; it cannot read an image.
        if factory and not (isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)):
            readable.add(ending)
    return frozenset(readable)


def find_images(names: Iterable[str], stdin: Optional[Iterable[str]] = None) -> List[str]:
    """Return the files that a command line names.

    Parameters
    ----------
    names : iterable of str
        A file stands for itself, a folder for the images in it, and `-` for the names on stdin, one per line.
    stdin : iterable of str, optional
        Lines of stdin. Default: the stdin of the process.

    Returns
    -------
    list of str
        For a folder, the files that `is_image_name` accepts in the order of their names, each folder's own files
        before those of its sub-folders. Hidden files and folders are left out.

    Raises
    ------
    InputError
        If a folder has no images or cannot be read, or nothing is named.
    """
    listed: List[str] = []
    for name in names:
        if name == "-":
            listed.extend(_read_lines(_stdin() if stdin is None else stdin))
        else:
            listed.append(name)
    files: List[str] = []
    for name in listed:
        files.extend(_walk(name) if os.path.isdir(name) else [name])
    if not files:
        raise InputError("no images given: name files or folders, or give - to read names from stdin")
    return files


def _stdin() -> Iterable[str]:
    """Return stdin, for reading file names, which need not be UTF-8."""
    if isinstance(sys.stdin, io.TextIOWrapper):  # a test may have replaced it
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin


def _read_lines(stdin: Optional[Iterable[str]]) -> List[str]:
    """Return the lines of stdin that are not empty. A stdin that was closed when the process began is None."""
    try:
        return [line.rstrip("\n") for line in stdin or () if line != "\n"]
    except OSError as error:
        raise InputError(f"-: stdin cannot be read ({reason(error)})") from error


def _walk(folder: str) -> List[str]:
    files = [path for path in find_files(folder) if is_image_name(path)]
    if not files:
        raise InputError(f"{folder}: no images in this folder")
    return files


def find_files(folder: str) -> List[str]:
    """Return the paths of the files that `walk_files` finds, in its order."""
    return [os.path.join(place, name) for place, names in walk_files(folder) for name in names]


def walk_files(folder: AnyStr) -> Iterator[Tuple[AnyStr, List[AnyStr]]]:
    """Iterate over a folder and its sub-folders, also linked ones, each folder once.

    Hidden files and folders are left out. The files are not opened, and no file's status is read, as far as the file
    system tells files from folders without it.

    Parameters
    ----------
    folder : str or bytes
        bytes give names as the file system has them, which saves time and memory for millions of files.

    Yields
    ------
    place : str or bytes
        Path of a folder, before its sub-folders, which come in the order of their names.
    names : list of str or bytes
        Names of the files in it, sorted. May be empty.

    Raises
    ------
    InputError
        If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{os.fsdecode(error.filename)}: cannot be read ({error.strerror})") from error

    dot = "." if isinstance(folder, str) else b"."
    seen: Set[Tuple[int, int]] = set()  # folders already read: a link may lead back to one of them
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(dot))
        yield place, sorted(name for name in names if not name.startswith(dot))
