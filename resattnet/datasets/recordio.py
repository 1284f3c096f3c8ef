"""Read image sets from RecordIO: PNG records with an index, checked as they are read.

`record_files` has the names of the files and their description; `record_writer` writes them.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import Any, Iterator, Tuple

import numpy as np
from PIL import Image

from ..data.image_set import ImageSet, image_progress
from ..machine.mxnet import mx
from ..system.errors import InputError
from ..system.files import digest
from .record_files import MAKE_AGAIN, KnownFile, RecordFile, description_path, paths, read_description


def read_records(name: str, data_dir: str, split: str) -> ImageSet:
    """Decode a split of records into memory.

    Parameters
    ----------
    name, data_dir : str
    split : str
        'train' or 'test'.

    Raises
    ------
    InputError
        If a file is missing, truncated or damaged, or the images have several sizes.
    """
    files = _find_files(name, data_dir, split)
    images, labels = None, []
    for number, (where, label, png) in enumerate(_records(files, f"reading {split}")):
        image = _decode(png, where)
        labels.append(label)
        if images is None:
            images = _reserve(files, image)
        if image.shape != images.shape[1:]:
            (height, width), (first_height, first_width) = image.shape[:2], images.shape[1:3]
            raise InputError(
                f"{where} has {width}x{height} pixels, the earlier records have {first_width}x{first_height}: "
                "training reads images of one size; make the records again, with --size"
            )
        images[number] = image
    return ImageSet(images, np.array(labels, np.int32), files.classes)


def _reserve(files: _SplitFiles, image: np.ndarray) -> np.ndarray:
    """Return an array for as many images like `image` as a split has."""
    try:
        return np.empty((files.known.samples,) + image.shape, np.uint8)
    except MemoryError as error:
        height, width = image.shape[:2]
        raise InputError(
            f"{files.path}: there is no memory for {files.known.samples:,} images of {width}x{height} pixels"
        ) from error


def locate(name: str, data_dir: str, split: str) -> RecordFile:
    """Check a split of records, and return its files for a reader outside this package.

    Parameters
    ----------
    name, data_dir : str
    split : str
        'train' or 'test'.

    Raises
    ------
    InputError
        If a file is missing, truncated or damaged.
    """
    files = _find_files(name, data_dir, split)
    return RecordFile(files.path, files.index, sum(1 for _ in _records(files, f"checking {split}")))


def image_size(name: str, data_dir: str) -> Tuple[int, int]:
    """Return height and width of the first test image, in pixels.

    Descriptions that earlier versions wrote lack the image size: their facts have None.

    Raises
    ------
    InputError
        If the image cannot be read.
    """
    files = _find_files(name, data_dir, "test")
    reader, where = _open(files), f"{files.path}: record 0"
    _, png = _unpack(_record(reader, 0, where), 0, len(files.classes), where)
    reader.close()
    height, width = _decode(png, where).shape[:2]
    return height, width


@dataclass(frozen=True)
class _SplitFiles:
    """Files of a split, and what the description says of them."""

    path: str
    index: str
    known: KnownFile
    classes: Tuple[str, ...]
    description: str


def _find_files(name: str, data_dir: str, split: str) -> _SplitFiles:
    data_dir = os.path.expanduser(str(data_dir))
    facts, files = read_description(name, data_dir)
    return _SplitFiles(
        *paths(data_dir, name, split), files[split], facts.classes, os.path.basename(description_path(data_dir, name))
    )


def _records(files: _SplitFiles, doing: str) -> Iterator[Tuple[str, int, bytes]]:
    """Yield place, label and PNG of each record in order, then check the whole file."""
    reader, samples = _open(files), files.known.samples
    for number in image_progress(range(samples), doing):
        where = f"{files.path}: record {number}"
        label, png = _unpack(_record(reader, number, where), number, len(files.classes), where)
        yield where, label, png
    reader.close()
    # Some flipped bits give another image and no error: 23 of 3,000 in CIFAR-10.
    if digest(files.path) != files.known.sha256:
        raise InputError(f"{files.path} is damaged: its SHA-256 is not the one in {files.description}; {MAKE_AGAIN}")


def _open(files: _SplitFiles) -> Any:
    """Return a reader of a record file that has its whole length, and an index that fits it."""
    path, index, known = files.path, files.index, files.known
    for file in (path, index):
        if not os.path.isfile(file):
            raise InputError(f"{file} is not there: {MAKE_AGAIN}")
    found = os.path.getsize(path)
    if found != known.bytes:
        fault = "truncated" if found < known.bytes else "too long"
        raise InputError(f"{path}: {found:,} bytes, expected {known.bytes:,}: {fault}; {MAKE_AGAIN}")
    try:
        reader = mx.recordio.MXIndexedRecordIO(index, path, "r")
    except (OSError, ValueError, IndexError, mx.base.MXNetError) as error:
        raise InputError(f"{index}: not a complete index ({str(error).splitlines()[-1]}): {MAKE_AGAIN}") from error
    if reader.keys != list(range(known.samples)):
        raise InputError(
            f"{index}: lists {len(reader.keys):,} records, expected {known.samples:,}: it is truncated, or belongs to "
            f"another file; {MAKE_AGAIN}"
        )
    farthest = max(reader.idx.values())
    if not 0 <= min(reader.idx.values()) <= farthest < found:
        raise InputError(f"{index}: points to byte {farthest:,} of {found:,} in {os.path.basename(path)}: {MAKE_AGAIN}")
    return reader


def _record(reader: Any, number: int, where: str) -> bytes:
    try:
        record = reader.read_idx(number)
    except mx.base.MXNetError:
        record = None
    if record is None:
        raise InputError(f"{where}: there is no record where the index points: {MAKE_AGAIN}")
    return record


def _unpack(record: bytes, number: int, classes: int, where: str) -> Tuple[int, bytes]:
    """Check the header of a record, and return the label and the PNG."""
    try:
        header, png = mx.recordio.unpack(record)
    except (struct.error, ValueError) as error:
        raise InputError(f"{where} is not an image record: {MAKE_AGAIN}") from error
    if header.id != number:
        raise InputError(f"{where} has the number {header.id}: the index belongs to another file; {MAKE_AGAIN}")
    if header.flag or header.label not in range(classes):
        label = f"{header.flag} numbers" if header.flag else f"{header.label:g}"
        raise InputError(f"{where} has label {label}, expected 0 to {classes - 1}: {MAKE_AGAIN}")
    return int(header.label), png


def _decode(png: bytes, where: str) -> np.ndarray:
    """Return the image, uint8 (H, W, 3)."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # for damaged bytes Pillow raises more kinds of errors than it documents
        raise InputError(f"{where} is not a complete PNG: {MAKE_AGAIN}") from error
