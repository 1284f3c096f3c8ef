"""Find the record files of both splits of a data set, such as MXNet's `im2rec` writes, and the names of its classes."""

from __future__ import annotations

import os
from typing import List, NoReturn, Optional, Sequence, Tuple

import numpy as np

from ..datasets.record_files import describe_records, description_path
from ..system.errors import InputError, list_some, one_line, remark
from .image_folders import VALIDATION_NAMES
from .image_splits import ImageFolder, check_not_empty, draw_split
from .label_files import read_class_names
from .record_lists import Records, open_records

ENDING = ".rec"
_MADE_BY_US = "_train"  # make-records writes NAME_train.rec, and NAME_records.json beside it


def has_records(folder: str) -> bool:
    """Return whether a folder has record files."""
    return os.path.isdir(folder) and bool(_record_files(folder))


def open_record_folder(
    data_dir: str,
    train_split: Optional[str] = None,
    val_split: Optional[str] = None,
    val_fraction: Optional[float] = None,
    class_names: Optional[str] = None,
    seed: int = 0,
) -> ImageFolder:
    """Open the record files of both splits of a folder, and list their records.

    Parameters
    ----------
    data_dir : str
        A folder with `train.rec` or `NAME_train.rec`, and with `val.rec` or `NAME_val.rec` or the like (see
        `image_folders.VALIDATION_NAMES`); with `val_fraction`, any one record file is enough.
    train_split, val_split : str, optional
        Names of the record files, with or without `.rec`.
    val_fraction : float, optional
        Fraction of the images of each class, in 0..1, that become the validation split, at least one of each class.
    class_names : str, optional
        File with the names of the classes, in the order of their labels. Default: those in the description that
        `make-records` writes; else the folders of the images in the `.lst` file of the training records; else the
        labels.
    seed : int
        Seed of the choice by `val_fraction`.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the labels of the splits differ.
    """
    folder = os.path.expanduser(os.fspath(data_dir))
    if os.path.isfile(folder):
        parent, name = os.path.split(os.path.abspath(folder))
        raise InputError(f"`data_dir={data_dir}`: is a file: give `data_dir={parent}` and `train_split={name}`")
    if not has_records(folder):
        raise InputError(f"`data_dir={data_dir}`: has no record files (*{ENDING})")
    train_path = _find(folder, "train_split", train_split, ("train",), any_one=val_fraction is not None)
    train = open_records(train_path)
    classes = _class_names(train, class_names)
    training = train.listed(classes)
    check_not_empty(train_path, training, classes)
    title = one_line(os.path.basename(os.path.abspath(folder)) or folder)
    if val_fraction is not None:
        kept, drawn = draw_split(training, classes, val_fraction, seed)
        return ImageFolder(kept, drawn, title)
    validation = open_records(_find(folder, "val_split", val_split, VALIDATION_NAMES, other=train_path))
    beyond = int(validation.labels.max())
    if beyond >= len(classes):
        raise InputError(f"{validation.path}: has the label {beyond}, {train_path} has labels up to {len(classes) - 1}")
    listed = validation.listed(classes)
    empty = [classes[number] for number in np.flatnonzero(listed.class_counts() == 0)]
    if empty:
        remark(f"{validation.path}: has no image of {len(empty)} of {len(classes)} classes: {list_some(empty)}")
    return ImageFolder(training, listed, title)


def _record_files(folder: str) -> List[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(ENDING) and not name.startswith("."))


def _find(
    folder: str,
    parameter: str,
    chosen: Optional[str],
    names: Sequence[str],
    any_one: bool = False,
    other: str = "",
) -> str:
    """Return the path of the record file of a split: the chosen one, or the only one of the first name that has any."""
    present = [name for name in _record_files(folder) if os.path.join(folder, name) != other]
    if chosen is not None:
        wanted = chosen if chosen.endswith(ENDING) else chosen + ENDING
        if wanted not in present:
            raise InputError(f"`{parameter}={chosen}`: {folder} has no such record file: it has {list_some(present)}")
        return os.path.join(folder, wanted)
    for name in names:
        found = [file for file in present if _is_split(file, name)]
        if len(found) > 1:
            _refuse(folder, parameter, f"has {list_some(found)}")
        if found:
            return os.path.join(folder, found[0])
    if any_one and len(present) == 1:
        return os.path.join(folder, present[0])
    advice = (
        "" if parameter == "train_split" else ", or give `val_fraction=0.1` to take images from the training images"
    )
    _refuse(folder, parameter, f"has no {names[0]}{ENDING} or NAME_{names[0]}{ENDING}", advice)


def _is_split(file: str, name: str) -> bool:
    base = file[: -len(ENDING)]
    return base == name or base.endswith(("_" + name, "-" + name))


def _refuse(folder: str, parameter: str, what: str, advice: str = "") -> NoReturn:
    raise InputError(f"`data_dir={folder}`: {what}: name the record file by `{parameter}`{advice}")


def _class_names(records: Records, names_file: Optional[str]) -> Tuple[str, ...]:
    """Return the names of the classes of training records."""
    labels = tuple(map(str, range(int(records.labels.max()) + 1)))
    if len(labels) < 2:
        raise InputError(f"{records.path}: only one class (label 0): training needs two or more")
    folder, file = os.path.split(records.path)
    base = os.path.splitext(file)[0]
    if names_file is not None:
        return read_class_names(names_file, records.folders if records.folders else labels)
    if base.endswith(_MADE_BY_US):
        name = base[: -len(_MADE_BY_US)]
        if os.path.isfile(description_path(folder, name)):
            classes = describe_records(name, folder).classes
            if len(classes) >= len(labels):
                return classes
    return tuple(map(one_line, records.folders)) if records.folders else labels
