"""Files with the names of classes, and lists of the labels of validation images, as ImageNet and others have them."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..system.errors import InputError, list_some, one_line, reason
from ..system.input_files import read_bytes
from .imagenet_ids import synsets_of_ids

SYNSET_MAPPING = "LOC_synset_mapping.txt"
# Lists of labels that are found by themselves, in the order in which they are preferred.
LABEL_LISTS = (
    "LOC_val_solution.csv",
    "imagenet_2012_validation_synset_labels.txt",
    "val_annotations.txt",
    "ILSVRC2012_validation_ground_truth.txt",
    "val.txt",
)
_SYNSET = re.compile(r"n[0-9]{8}")


class Classes(NamedTuple):
    """The classes of a data set: the name of each folder, sorted, and the name of each class."""

    folders: Tuple[str, ...]
    names: Tuple[str, ...]

    def numbers(self) -> Dict[str, int]:
        """Return the number of each class by its name and by the name of its folder."""
        named = {name: number for number, name in enumerate(self.names)}
        return {**named, **{folder: number for number, folder in enumerate(self.folders)}}


def read_class_names(path: str, folders: Sequence[str]) -> Tuple[str, ...]:
    """Read the names of classes.

    Parameters
    ----------
    path : str
        A text file with one line for each folder in their order, the name of the class; or with lines of the name of a
        folder, white space and the name of the class, in any order, such as ImageNet's `LOC_synset_mapping.txt`, where
        lines for other folders are ignored. Of the synonyms of a synset such as "n01440764 tench, Tinca tinca", the
        first is the name.
    folders : sequence of str
        The folders of the classes, sorted.

    Returns
    -------
    tuple of str
        Name of each class. Where classes have the same name, the folder follows in parentheses.

    Raises
    ------
    InputError
        If the file cannot be read or does not fit the folders.
    """
    lines = _read_lines(path)
    words = [line.split(None, 1) for line in lines]
    known = set(folders)
    if any(len(word) == 2 and word[0] in known for word in words):
        by_folder = {word[0]: word[1] for word in words if len(word) == 2}
        missing = [folder for folder in folders if folder not in by_folder]
        if missing:
            raise InputError(f"{path}: has no line for the classes {list_some(missing)}")
        names = [_first_synonym(folder, by_folder[folder]) for folder in folders]
    elif len(lines) != len(folders):
        raise InputError(
            f"{path}: has {len(lines)} lines for {len(folders)} classes: give a line for each folder of a class, in "
            "the order of their names, or lines of FOLDER NAME"
        )
    else:
        names = lines
    return _distinct(path, [one_line(name) for name in names], folders)


def _first_synonym(folder: str, names: str) -> str:
    return names.split(",")[0].strip() or names if _SYNSET.fullmatch(folder) else names


def _distinct(path: str, names: Sequence[str], folders: Sequence[str]) -> Tuple[str, ...]:
    """Return the names, with the folder added to those that occur twice."""
    counts = Counter(names)
    distinct = tuple(f"{name} ({folder})" if counts[name] > 1 else name for name, folder in zip(names, folders))
    if len(set(distinct)) < len(distinct):
        raise InputError(f"{path}: two classes have the name {Counter(distinct).most_common(1)[0][0]}")
    return distinct


def read_labels(path: str, files: Sequence[bytes], classes: Classes, folder: str) -> np.ndarray:
    """Read the labels of image files from a list.

    Parameters
    ----------
    path : str
        One of: a table "ImageId,PredictionString" whose second column begins with the folder of the class (Kaggle's
        `LOC_val_solution.csv`); lines of a file name, white space and a label, which is the folder of a class, its name
        or, if not all labels are such, a number from 0 in the order of the folders (Caffe's `val.txt`); further columns
        after a tab are ignored. In the order of the files: lines of a folder or name of a class, or ILSVRC2012 IDs
        from 1 (ImageNet's `ILSVRC2012_validation_ground_truth.txt`), which need `meta.mat` beside the list.
    files : sequence of bytes
        Paths of the images within the folder of the split, sorted.
    classes : Classes
    folder : str
        Folder of the split, for the messages; file names may begin with its name.

    Returns
    -------
    int32 array (N,)
        The class of each file.

    Raises
    ------
    InputError
        If the list cannot be read or does not fit the files and classes.
    """
    lines = _read_lines(path)
    if not lines:
        raise InputError(f"{path}: has no labels")
    known = classes.numbers()
    if lines[0].split(",")[0].strip().strip('"') == "ImageId":
        named = _kaggle_rows(path, lines)
    elif lines[0] in known or len(lines[0].split()) == 1:
        _check_count(path, len(lines), len(files), folder)
        if all(map(_is_number, lines)) and not known.keys() >= set(lines):
            lines = synsets_of_ids(path, lines)
        return _numbers(path, lines, known)
    else:
        named = [_name_and_label(path, line) for line in lines]
    rows = _match(path, [name for name, _ in named], files, folder)
    return _numbers(path, [label for _, label in named], known, len(classes.folders))[rows]


def _read_lines(path: str) -> List[str]:
    """Return the lines of a file that are not empty; bytes that are not UTF-8 are as `os.fsdecode` has them."""
    try:
        text = read_bytes(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    lines = (line.strip() for line in text.lstrip("\ufeff").replace("\r", "\n").split("\n"))
    return [line for line in lines if line]


def _kaggle_rows(path: str, lines: Sequence[str]) -> List[Tuple[str, str]]:
    try:
        rows = list(csv.reader(lines[1:], strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: not a table ({reason(error)})") from error
    if not rows:
        raise InputError(f"{path}: has no labels")
    wrong = [row for row in rows if len(row) != 2 or not row[1].split()]
    if wrong:
        raise InputError(f"{path}: not a row of ImageId,PredictionString: {','.join(wrong[0])[:80]}")
    return [(name.strip(), prediction.split()[0]) for name, prediction in rows]


def _name_and_label(path: str, line: str) -> Tuple[str, str]:
    """Return the file name and the label of a line; only with tabs may both have spaces."""
    parts = [part.strip() for part in (line.split("\t") if "\t" in line else line.rsplit(None, 1))]
    if len(parts) < 2 or not parts[1]:
        raise InputError(f"{path}: no label after {line[:80]}")
    return parts[0], parts[1]


def _is_number(text: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None


def _check_count(path: str, lines: int, files: int, folder: str) -> None:
    if lines != files:
        raise InputError(f"{path}: has {lines} labels for the {files} images in {folder}")


def _numbers(path: str, labels: Sequence[str], known: Dict[str, int], indices: int = 0) -> np.ndarray:
    """Return the class of each label, which is a name of `known`, or for all labels an index below `indices`."""
    distinct = list(dict.fromkeys(labels))
    unknown = [label for label in distinct if label not in known]
    if unknown and indices and all(map(_is_number, distinct)):
        known = {label: int(label) for label in distinct}
        unknown = [label for label in distinct if known[label] >= indices]
        if unknown:
            raise InputError(f"{path}: labels are not in 0 to {indices - 1}: {list_some(unknown)}")
    if unknown:
        raise InputError(f"{path}: labels are no classes of the training images: {list_some(unknown)}")
    return np.array([known[label] for label in labels], np.int32)


def _match(path: str, names: Sequence[str], files: Sequence[bytes], folder: str) -> np.ndarray:
    """Return which of the names belongs to each file, int64 (files,)."""
    start = os.path.basename(os.path.abspath(folder)) + "/"
    listed = [name[len(start) :] if name.startswith(start) else name for name in names]
    paths = [os.fsdecode(file) for file in files]
    key = _key_of(listed[0], paths)
    rows: Dict[str, int] = {}
    for row, name in enumerate(listed):
        if rows.setdefault(name, row) != row:
            raise InputError(f"{path}: {name} is listed twice")
    keys = list(map(key, paths))
    present = set(keys)
    if len(present) < len(keys):
        raise InputError(f"{path}: its file names fit several images in {folder}: {Counter(keys).most_common(1)[0][0]}")
    gone = [name for name in listed if name not in present]
    if gone:
        raise InputError(f"{path}: {len(gone)} of {len(listed)} files are not in {folder}: {list_some(gone)}")
    unlisted = [file for file, name in zip(paths, keys) if name not in rows]
    if unlisted:
        raise InputError(
            f"{path}: has no label for {len(unlisted)} of {len(paths)} images in {folder}: {list_some(unlisted)}"
        )
    return np.array([rows[name] for name in keys], np.int64)


# What a list may name a file by: its path, its name, and either without extension.
_KEYS: Tuple[Callable[[str], str], ...] = (
    str,
    os.path.basename,
    lambda path: os.path.splitext(path)[0],
    lambda path: os.path.splitext(os.path.basename(path))[0],
)


def _key_of(name: str, paths: Sequence[str]) -> Callable[[str], str]:
    """Return by which part of their paths a list names its files, from the first name in it."""
    return next((key for key in _KEYS if name in set(map(key, paths))), _KEYS[0])


def find_label_list(folders: Sequence[str]) -> Optional[str]:
    """Return the path of the first of `LABEL_LISTS` that is in one of the folders; None if there is none."""
    candidates = (os.path.join(folder, name) for name in LABEL_LISTS for folder in folders)
    return next((path for path in candidates if os.path.isfile(path)), None)
