"""Training and validation images of a folder: what is drawn from it, checked and described."""

from __future__ import annotations

import dataclasses
import os
from typing import NamedTuple, Sequence, Tuple, TypeVar, Union

import numpy as np

from ..data.class_folders import draw_fraction
from ..data.facts import DataFacts
from ..system.errors import InputError, list_some
from .file_lists import FileList
from .record_lists import RecordList

Listed = TypeVar("Listed", FileList, RecordList)


class ImageFolder(NamedTuple):
    """Both splits of a folder of image files or record files."""

    train: Union[FileList, RecordList]
    validation: Union[FileList, RecordList]
    title: str


def check_not_empty(folder: str, files: Union[FileList, RecordList], names: Sequence[str]) -> None:
    """Raise InputError if a class has no image; `names` are those of the classes in the folder or file."""
    empty = [names[number] for number in np.flatnonzero(files.class_counts() == 0)]
    if empty:
        noun = "class" if len(empty) == 1 else "classes"
        raise InputError(f"{folder}: no images of the {noun} {list_some(empty)}")


def draw_split(files: Listed, names: Sequence[str], fraction: float, seed: int) -> Tuple[Listed, Listed]:
    """Return a list without a fraction of the images of each class, and the list of these images.

    Parameters
    ----------
    files : FileList or RecordList
    names : sequence of str
        Names of the classes in the folder or file, for the message about a class with one image.
    fraction : float
        In 0..1.
    seed : int
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(files), bool)
    by_class = np.split(np.argsort(files.labels, kind="stable"), np.cumsum(files.class_counts())[:-1])
    for name, rows in zip(names, by_class):
        chosen[rows] = draw_fraction(os.path.join(files.root, name), len(rows), fraction, rng)
    return files.take(~chosen), files.take(chosen)


def describe_folder(folder: ImageFolder, facts: DataFacts) -> DataFacts:
    """Return data facts with what a folder says of itself: classes, numbers of images and fingerprint."""
    return dataclasses.replace(
        facts,
        title=folder.title,
        classes=folder.train.classes,
        samples={"train": len(folder.train), "validation": len(folder.validation)},
        fingerprint=folder.train.fingerprint(),
        class_images=tuple(folder.train.class_counts().tolist()),
    )
