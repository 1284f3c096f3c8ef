"""Folders that have a folder of images for each class: their classes, their files, and which of them is which split.

Paths are str or bytes. bytes give names as the file system has them, which saves time and memory for millions of files.
"""

from __future__ import annotations

import collections
import os
from typing import AnyStr, Counter, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ..system.errors import InputError, remark
from .image_paths import is_image_name, keep_images, walk_files


def find_class_names(folder: AnyStr) -> List[AnyStr]:
    """Return the names of the sub-folders, sorted, without hidden ones.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    dot = "." if isinstance(folder, str) else b"."
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(dot) and entry.is_dir())
    except OSError as error:
        raise InputError(f"{os.fsdecode(error.filename)}: cannot be read ({error.strerror})") from error


def check_classes(folder: str, classes: Sequence[str]) -> None:
    """Raise InputError if a folder of training images has no classes or only one."""
    if not classes:
        raise InputError(f"{folder}: no images: it has no sub-folder for each class")
    if len(classes) < 2:
        raise InputError(f"{folder}: only one class ({classes[0]}): training needs two or more")


def iterate_classes(folder: AnyStr, names: Sequence[AnyStr]) -> Iterator[Tuple[AnyStr, List[AnyStr]]]:
    """Iterate over the classes of a folder and their image files, and read each folder once.

    After the last class, a `Remark` gives the number of images beside the folders of the classes, and another one the
    number of other files by the end of their names.

    Parameters
    ----------
    folder : str or bytes
    names : sequence of str or bytes
        The classes, as `find_class_names` returns them.

    Yields
    ------
    name : str or bytes
        Name of a class.
    files : list of str or bytes
        Paths of its images within `folder`, as `walk_files` sorts them. May be empty.

    Raises
    ------
    InputError
        If a folder cannot be read.
    """
    others: Counter[str] = collections.Counter()
    for name in names:
        files, rest = list_images(folder, name)
        others.update(rest)
        yield name, files
    beside = sum(map(is_image_name, os.listdir(folder)))
    if beside:
        remark(f"{os.fsdecode(folder)}: {count_of(beside, 'image')} beside the folders of the classes left out")
    report_others(os.fsdecode(folder), others)


def list_images(folder: AnyStr, name: AnyStr) -> Tuple[List[AnyStr], Counter[str]]:
    """Return the images below the folder `name` of a folder, and the number of other files by their extension.

    Parameters
    ----------
    folder : str or bytes
    name : str or bytes
        Empty for the folder itself.

    Returns
    -------
    files : list of str or bytes
        Paths within `folder`, as `walk_files` sorts them.
    others : Counter of str
        See `image_files.keep_images`.
    """
    top = os.path.join(folder, name)
    files: List[AnyStr] = []
    others: Counter[str] = collections.Counter()
    for place, found in walk_files(top):
        images, rest = keep_images(found)
        prefix = os.path.join(name + place[len(top) :], folder[:0])  # ends with a slash
        files.extend([prefix + image for image in images] if prefix else images)
        others.update(rest)
    return files, others


def report_others(folder: str, others: Counter[str]) -> None:
    """Give a `Remark` on files that are left out, with their number by the end of their names."""
    if others:
        kinds = ", ".join(f"{number} {ending or 'without extension'}" for ending, number in sorted(others.items()))
        remark(f"{folder}: {count_of(sum(others.values()), 'file')} that cannot be read as images left out: {kinds}")


def count_of(number: int, what: str) -> str:
    """Return a number of things: "1 image", "2 images"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def choose_split(folder: str, known: Sequence[str], present: Sequence[str], split: str) -> Optional[str]:
    """Return which folder beside the training images has the images of another split.

    A `Remark` tells about folders that are passed over.

    Parameters
    ----------
    folder : str
    known : sequence of str
        Classes of the training images.
    present : sequence of str
        Folders in `folder`, in the order in which they are preferred.
    split : str
        Name of the split, for the remark.

    Returns
    -------
    str or None
        The first folder of `present` with known classes only, or the first with any folders of classes. None: there
        is none.
    """
    names = [find_class_names(os.path.join(folder, name)) for name in present]
    labelled = [name for name, classes in zip(present, names) if classes]
    of_classes = [name for name, classes in zip(present, names) if classes and set(known).issuperset(classes)]
    chosen = next(iter(of_classes + labelled), None)
    if chosen is None:
        return None
    if present[0] != chosen:
        remark(f"{os.path.join(folder, present[0])} has no folders of the classes: {chosen}/ is the {split} split")
    elif len(present) > 1:
        remark(f"{folder}: {chosen}/ is the {split} split; {', '.join(name + '/' for name in present[1:])} is not read")
    return chosen


def draw_fraction(class_folder: str, count: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a fraction of the images of a class, at least one, and leave at least one.

    Parameters
    ----------
    class_folder : str
        Path of the class, for the message.
    count : int
        Number of its images.
    fraction : float
        In 0..1.
    rng : Generator

    Returns
    -------
    bool array (count,)
        Which images are drawn.

    Raises
    ------
    InputError
        If there are fewer than two images.
    """
    if count < 2:
        found = "only one image of the class" if count else "no images of the class"
        raise InputError(f"{class_folder}: {found}, and both splits need one")
    drawn = np.zeros(count, bool)
    drawn[rng.choice(count, min(max(1, round(fraction * count)), count - 1), replace=False)] = True
    return drawn
