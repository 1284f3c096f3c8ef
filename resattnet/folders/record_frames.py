"""Read the frames and headers of RecordIO files.

MXNet's own reader keeps its index as a dict of Python numbers, which takes 200 MB for ImageNet in each process, and may
not be used by two processes. Here a record is read from its place, by any process.
"""

from __future__ import annotations

import os
import struct
import weakref
from typing import Iterator, List, Tuple

from ..system.errors import InputError

MAGIC = 0xCED7230A
FRAME = struct.Struct("<II")  # the magic number; three bits that say which part of a record this is, and its length
HEADER = struct.Struct("<IfQQ")  # number of labels beside the header, label, and two numbers of the record
_LENGTH_BITS = 29
_WHOLE, _LAST = 0, 3  # parts of a record: it is divided where its contents have the magic number


class OpenFile:
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


def walk_records(path: str, file: OpenFile) -> Iterator[int]:
    """Yield where each record of a file begins; raise InputError where none does."""
    start, size = 0, file.size
    while start < size:
        yield start
        try:
            start = _end(file, start)
        except ValueError as error:
            raise InputError(f"{path}, record at byte {start}: {error}") from error


def read_label(path: str, file: OpenFile, start: int) -> float:
    """Return the label of the record at a byte, or raise InputError."""
    head = file.read(start, FRAME.size + HEADER.size)
    try:
        if len(head) < FRAME.size + HEADER.size:
            raise ValueError("the file ends within it")
        _parse_frame(head[: FRAME.size])
        count, label, _, _ = HEADER.unpack_from(head, FRAME.size)
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
    magic, word = FRAME.unpack(frame)
    if magic != MAGIC:
        raise ValueError("there is no record: the file is damaged, or its index is of another file")
    return word >> _LENGTH_BITS, word & (1 << _LENGTH_BITS) - 1


def _parts(file: OpenFile, start: int) -> Iterator[Tuple[int, int, int]]:
    """Yield kind, first byte and length of each part of the record at a byte."""
    kind = None
    while kind not in (_WHOLE, _LAST):
        frame = file.read(start, FRAME.size)
        if len(frame) < FRAME.size:
            raise ValueError("the file ends within it")
        kind, length = _parse_frame(frame)
        yield kind, start + FRAME.size, length
        start += FRAME.size + -(-length // 4) * 4


def _end(file: OpenFile, start: int) -> int:
    """Return the byte after the record at a byte."""
    end = start
    for _, first, length in _parts(file, start):
        end = first + -(-length // 4) * 4
    return end


def read_record(file: OpenFile, start: int) -> bytes:
    """Return the contents of the record at a byte."""
    parts: List[bytes] = []
    for _, first, length in _parts(file, start):
        part = file.read(first, length)
        if len(part) < length:
            raise ValueError("the file ends within it")
        parts.append(part)
    return struct.pack("<I", MAGIC).join(parts)


def unpack_record(record: bytes) -> Tuple[float, bytes]:
    """Return label and image of a record."""
    if len(record) < HEADER.size:
        raise ValueError("it is not an image record")
    count, label, _, _ = HEADER.unpack_from(record)
    _check_labels(count)
    if count == 1:
        (label,) = struct.unpack_from("<f", record, HEADER.size)
    return label, record[HEADER.size + 4 * count :]
