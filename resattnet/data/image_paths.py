"""Find image files by the ends of their names, on a command line and in folders."""

from __future__ import annotations

import collections
import functools
import io
import os
import sys
from typing import Any, AnyStr, Counter, FrozenSet, Iterable, Iterator, List, Optional, Sequence, Set, Tuple, Union

from PIL import Image, ImageFile

from ..system.errors import InputError, reason

UNREADABLE_FORMATS = ("MPEG",)  # formats that Pillow identifies and cannot decode


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
