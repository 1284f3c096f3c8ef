"""Compact lists of the images in RecordIO files, such as MXNet's `im2rec` writes, read as they are needed.

A list is two arrays, which processes that are forked share.
"""

from __future__ import annotations

import hashlib
import os
from typing import Dict, NamedTuple, Optional, Set, Tuple

import numpy as np

from ..system.errors import InputError, list_some, reason
from ..system.input_files import check_regular, read_bytes
from .labelled_list import LabelledList
from .record_frames import FRAME, OpenFile, read_label, read_record, unpack_record, walk_records


class RecordList(LabelledList):
    """The images of a record file and their labels, used as a `file_lists.FileList`.

    `open_records` makes a list, and `take` a part of one.

    Attributes
    ----------
    root : str
        Path of the record file.
    classes : tuple of str
        Name of each class.
    labels : int32 array (N,)
        Class of each record.
    """

    def __init__(
        self, root: str, classes: Tuple[str, ...], file: OpenFile, offsets: np.ndarray, labels: np.ndarray
    ) -> None:
        self.root, self.classes, self.labels = root, classes, labels
        self._file, self._offsets = file, offsets

    def path(self, number: int) -> str:
        """Return what messages call a record: the file, and the byte where the record begins."""
        return f"{self.root}, record at byte {int(self._offsets[number])}"

    def read(self, number: int) -> bytes:
        """Return the image of a record as a file has it.

        Raises
        ------
        ValueError
            If there is no record of this label where the list says.
        """
        label, image = unpack_record(read_record(self._file, int(self._offsets[number])))
        if label != self.labels[number]:
            raise ValueError(f"its label is {label:g}, the list beside the file says {self.labels[number]}")
        return image

    def take(self, rows: np.ndarray) -> RecordList:
        """Return the list of some records, in the order of `rows`, int (n,) or bool (N,)."""
        return RecordList(self.root, self.classes, self._file, self._offsets[rows], self.labels[rows])

    def fingerprint(self) -> str:
        """Return the SHA-256 of places and labels of all records and the size of the file, in hexadecimal."""
        state = hashlib.sha256(np.array([self._file.size], "<i8").tobytes())
        state.update(np.ascontiguousarray(self._offsets, "<i8"))
        state.update(np.ascontiguousarray(self.labels, "<i4"))
        return state.hexdigest()


class Records(NamedTuple):
    """A record file that is open, before its classes are known.

    Attributes
    ----------
    path : str
    file : OpenFile
    offsets : int64 array (N,)
        Where each record begins, in bytes.
    labels : int32 array (N,)
    folders : tuple of str or None
        The folder that the list beside the file has the images of each label in; None without such folders.
    """

    path: str
    file: OpenFile
    offsets: np.ndarray
    labels: np.ndarray
    folders: Optional[Tuple[str, ...]]

    def listed(self, classes: Tuple[str, ...]) -> RecordList:
        """Return the list of the records, with the names of their classes."""
        return RecordList(self.path, classes, self.file, self.offsets, self.labels)


def open_records(path: str) -> Records:
    """Open a record file whose records have one label each.

    The places of the records come from the index beside the file (`.idx`), and their labels from the list from which
    `im2rec` made it (`.lst`). Without an index, or without a list, the headers of all records are read.

    Parameters
    ----------
    path : str
        A file that ends in `.rec`.

    Raises
    ------
    InputError
        If a file cannot be read, is damaged or does not fit the others, or a label is not a whole number from 0.
    """
    base = os.path.splitext(path)[0]
    try:
        check_regular(path)
        file = OpenFile(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    folders = None
    index = _read_index(base + ".idx", file.size) if os.path.isfile(base + ".idx") else None
    if index and os.path.isfile(base + ".lst"):
        offsets = index[1]
        labels, folders = _read_list(base + ".lst", index[0])
    else:
        starts = index[1].tolist() if index else list(walk_records(path, file))
        offsets, labels = np.array(starts, np.int64), np.array([read_label(path, file, start) for start in starts])
    if not len(offsets):
        raise InputError(f"{path}: has no records")
    wrong = np.flatnonzero((labels != np.floor(labels)) | (labels < 0) | (labels > 10**6))
    if len(wrong):
        raise InputError(
            f"{path}: the record at byte {offsets[wrong[0]]} has the label {labels[wrong[0]]:g}: labels are whole "
            "numbers from 0"
        )
    return Records(path, file, offsets, labels.astype(np.int32), folders)


def _read_index(path: str, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the number of each record, int64 (N,), and where it begins in a record file of this size, int64 (N,)."""
    try:
        words = read_bytes(path).split()
        pairs = np.array(words, dtype=np.int64).reshape(-1, 2)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: not a complete index ({reason(error)}): remove it, or make the records again"
        ) from error
    outside = np.flatnonzero((pairs[:, 1] < 0) | (pairs[:, 1] + FRAME.size > size))
    if len(outside):
        raise InputError(
            f"{path}: points to byte {pairs[outside[0], 1]:,} of {size:,}: the record file is truncated, or another one"
        )
    return pairs[:, 0], pairs[:, 1]


def _read_list(path: str, numbers: np.ndarray) -> Tuple[np.ndarray, Optional[Tuple[str, ...]]]:
    """Return the labels of records, float64 (N,), and the folder of each label, from a list of `im2rec`."""
    found: Dict[int, float] = {}
    folders: Dict[float, Set[str]] = {}
    for line in read_bytes(path).split(b"\n"):
        parts = line.strip().split(b"\t")
        if parts == [b""]:
            continue
        try:
            number, label = int(parts[0]), float(parts[1])
            name = parts[2]
        except (ValueError, IndexError) as error:
            text = os.fsdecode(line)[:80]
            raise InputError(f"{path}: not a line of number, label and path between tabs: {text}") from error
        if len(parts) > 3:
            raise InputError(f"{path}: image {number} has {len(parts) - 2} labels: give records of one label each")
        found[number] = label
        folders.setdefault(label, set()).add(os.fsdecode(os.path.dirname(name)).split("/")[0])
    labels = np.array([found.get(number, np.nan) for number in numbers.tolist()])
    missing = numbers[np.isnan(labels)]
    if len(missing):
        some = list_some([str(number) for number in missing[:4].tolist()])
        raise InputError(f"{path}: has no label of {len(missing):,} records, such as {some}: it is of another file")
    return labels, _one_folder_each(folders)


def _one_folder_each(folders: dict[float, set[str]]) -> Optional[Tuple[str, ...]]:
    """Return the folder of each label from 0 on, if each has a folder of its own."""
    names = [next(iter(folders.get(float(label), {""}))) for label in range(len(folders))]
    own = all(len(of_label) == 1 for of_label in folders.values()) and all(names) and len(set(names)) == len(names)
    return tuple(names) if own else None
