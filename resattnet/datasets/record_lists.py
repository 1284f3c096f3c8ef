"""Compact lists of the images in RecordIO files, such as MXNet's `im2rec` writes, read as they are needed.

MXNet's own reader keeps its index as a dict of Python numbers, which takes 200 MB for ImageNet in each process, and
may not be used by two processes. Here the index is two arrays, which processes that are forked share.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from ..system.errors import InputError, list_some, reason
from ..system.input_files import check_regular, read_bytes

_MAGIC = 0xCED7230A
_FRAME = struct.Struct("<II")  # the magic number; three bits that say which part of a record this is, and its length
_HEADER = struct.Struct("<IfQQ")  # number of labels beside the header, label, and two numbers of the record
_LENGTH_BITS = 29
_WHOLE, _LAST = 0, 3  # parts of a record: it is divided where its contents have the magic number


class _OpenFile:
    """A file that is read at any place, also by processes that are forked, and closed when nothing refers to it."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        """Return bytes from a place on: fewer than `length` at the end of the file."""
        return os.pread(self._descriptor, length, start)


class RecordList:
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
        self, root: str, classes: Tuple[str, ...], file: _OpenFile, offsets: np.ndarray, labels: np.ndarray
    ) -> None:
        self.root, self.classes, self.labels = root, classes, labels
        self._file, self._offsets = file, offsets

    def __len__(self) -> int:
        return len(self.labels)

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
        label, image = _unpack(_read_record(self._file, int(self._offsets[number])))
        if label != self.labels[number]:
            raise ValueError(f"its label is {label:g}, the list beside the file says {self.labels[number]}")
        return image

    def take(self, rows: np.ndarray) -> RecordList:
        """Return the list of some records, in the order of `rows`, int (n,) or bool (N,)."""
        return RecordList(self.root, self.classes, self._file, self._offsets[rows], self.labels[rows])

    def class_counts(self) -> np.ndarray:
        """Return the number of records of each class, int64 (classes,)."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

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
    file : _OpenFile
    offsets : int64 array (N,)
        Where each record begins, in bytes.
    labels : int32 array (N,)
    folders : tuple of str or None
        The folder that the list beside the file has the images of each label in; None without such folders.
    """

    path: str
    file: _OpenFile
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
        file = _OpenFile(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    folders = None
    numbers, offsets = _read_index(base + ".idx", file.size) if os.path.isfile(base + ".idx") else (None, None)
    if numbers is not None and os.path.isfile(base + ".lst"):
        labels, folders = _read_list(base + ".lst", numbers)
    else:
        walked = _walk(path, file) if offsets is None else ((start, _label(path, file, start)) for start in offsets)
        pairs = np.array(list(walked), np.float64).reshape(-1, 2)
        offsets, labels = pairs[:, 0].astype(np.int64), pairs[:, 1]
    if offsets is None or not len(offsets):
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
    outside = np.flatnonzero((pairs[:, 1] < 0) | (pairs[:, 1] + _FRAME.size > size))
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


def _walk(path: str, file: _OpenFile) -> Iterator[Tuple[int, float]]:
    """Yield where each record of a file begins, and its label."""
    start, size = 0, file.size
    while start < size:
        yield start, _label(path, file, start)
        try:
            start = _end(file, start)
        except ValueError as error:
            raise InputError(f"{path}, record at byte {start}: {error}") from error


def _label(path: str, file: _OpenFile, start: int) -> float:
    head = file.read(start, _FRAME.size + _HEADER.size)
    try:
        if len(head) < _FRAME.size + _HEADER.size:
            raise ValueError("the file ends within it")
        _parse_frame(head[: _FRAME.size])
        count, label, _, _ = _HEADER.unpack_from(head, _FRAME.size)
        if count == 1:
            (label,) = struct.unpack("<f", file.read(start + len(head), 4))
        _check_labels(count)
    except (ValueError, struct.error) as error:
        raise InputError(f"{path}, record at byte {start}: {error}") from error
    return float(label)


def _check_labels(count: int) -> None:
    if count > 1:
        raise ValueError(f"has {count} labels: give records of one label each")


def _parse_frame(frame: bytes) -> Tuple[int, int]:
    """Return which part of a record begins with a frame, and the length of the part in bytes."""
    magic, word = _FRAME.unpack(frame)
    if magic != _MAGIC:
        raise ValueError("there is no record: the file is damaged, or its index is of another file")
    return word >> _LENGTH_BITS, word & (1 << _LENGTH_BITS) - 1


def _parts(file: _OpenFile, start: int) -> Iterator[Tuple[int, int, int]]:
    """Yield kind, first byte and length of each part of the record at a byte."""
    kind = None
    while kind not in (_WHOLE, _LAST):
        frame = file.read(start, _FRAME.size)
        if len(frame) < _FRAME.size:
            raise ValueError("the file ends within it")
        kind, length = _parse_frame(frame)
        yield kind, start + _FRAME.size, length
        start += _FRAME.size + -(-length // 4) * 4


def _end(file: _OpenFile, start: int) -> int:
    """Return the byte after the record at a byte."""
    end = start
    for _, first, length in _parts(file, start):
        end = first + -(-length // 4) * 4
    return end


def _read_record(file: _OpenFile, start: int) -> bytes:
    """Return the contents of the record at a byte."""
    parts: List[bytes] = []
    for _, first, length in _parts(file, start):
        part = file.read(first, length)
        if len(part) < length:
            raise ValueError("the file ends within it")
        parts.append(part)
    return struct.pack("<I", _MAGIC).join(parts)


def _unpack(record: bytes) -> Tuple[float, bytes]:
    """Return label and image of a record."""
    if len(record) < _HEADER.size:
        raise ValueError("it is not an image record")
    count, label, _, _ = _HEADER.unpack_from(record)
    _check_labels(count)
    if count == 1:
        (label,) = struct.unpack_from("<f", record, _HEADER.size)
    return label, record[_HEADER.size + 4 * count :]
