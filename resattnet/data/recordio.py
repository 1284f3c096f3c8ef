"""Image sets as RecordIO: PNG records with an index, written whole or not at all, and checked when they are read.

`record_files` has the names of the files and their description.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, Tuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..system.errors import InputError
from ..system.files import digest, writing
from ..system.mxnet import mx
from .image_set import ImageSet
from .record_files import (
    MAKE_AGAIN,
    SPLITS,
    KnownFile,
    RecordFile,
    check_output,
    description_path,
    make_description,
    paths,
    put_in_place,
    read_description,
)

# ---- writing ----


def write_records(
    directory: str,
    name: str,
    splits: Dict[str, ImageSet],
    source: str,
    mean: Tuple[float, float, float],
    std: Tuple[float, float, float],
    flip: bool,
    overwrite: bool = False,
) -> None:
    """Write a set, read it back, and put it in place only if every record is right.

    Parameters
    ----------
    directory : str
        Made if it does not exist.
    name : str
        Name of the set: the first part of the files' names.
    splits : dict of str to ImageSet
        'train' and 'test', with the same classes.
    source : str
        Origin of the images, for people.
    mean, std : tuple of 3 float
        Mean and standard deviation of each channel, for pixels in 0..1.
    flip : bool
        Whether an image mirrored left to right still shows its class.
    overwrite : bool
        Whether a set of that name is replaced.

    Raises
    ------
    InputError
        If a file exists already, or cannot be written.
    """
    check_output(directory, name, overwrite)
    with writing(f"{directory}: the records"):
        os.makedirs(directory, exist_ok=True)
        # A folder of the same file system, so that putting a file in place is a rename.
        with tempfile.TemporaryDirectory(prefix=f".{name}_records-", dir=directory) as workshop:
            for split in SPLITS:
                _write_split(workshop, name, split, splits[split])
            description = make_description(workshop, name, splits, source=source, mean=mean, std=std, flip=flip)
            with open(description_path(workshop, name), "w", encoding="utf-8") as file:
                json.dump(description, file, indent=1)
            _verify(workshop, name, splits)
            put_in_place(workshop, directory, name)


def _write_split(directory: str, name: str, split: str, image_set: ImageSet) -> None:
    """Write the record file of a split and its index."""
    path, index = paths(directory, name, split)
    try:
        writer = mx.recordio.MXIndexedRecordIO(index, path, "w")
        pairs = zip(image_set.images, image_set.labels)
        for number, (image, label) in enumerate(_bar(pairs, len(image_set.labels), "writing " + split)):
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG")
            # Not `pack_img`: it needs OpenCV, which this package does not.
            header = mx.recordio.IRHeader(0, float(label), number, 0)
            writer.write_idx(number, mx.recordio.pack(header, png.getvalue()))
        length = writer.tell()
        writer.close()
    except mx.base.MXNetError as error:
        raise OSError(str(error).strip().splitlines()[-1]) from error
    # MXNet reports no error if the disk has no room for the last part of its buffer.
    if os.path.getsize(path) != length:
        raise OSError(f"{os.path.getsize(path)} of {length} bytes of the {split} split written: is the disk full?")


def _verify(directory: str, name: str, splits: Dict[str, ImageSet]) -> None:
    for split, written in splits.items():
        found = read_records(name, directory, split)
        if not (
            np.array_equal(found.images, written.images)
            and np.array_equal(found.labels, written.labels)
            and found.classes == tuple(written.classes)
        ):
            raise OSError(f"the {split} split that was read back differs from what was written")


# ---- reading ----


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
    images, labels = None, np.empty(files.known.samples, np.int32)
    for number, (where, label, png) in enumerate(_records(files, f"reading {split}")):
        image, labels[number] = _decode(png, where), label
        if images is None:
            images = np.empty((len(labels),) + image.shape, np.uint8)
        if image.shape != images.shape[1:]:
            (height, width), (first_height, first_width) = image.shape[:2], images.shape[1:3]
            raise InputError(
                f"{where} has {width}x{height} pixels, the records before have {first_width}x{first_height}: "
                "training reads images of one size; make the records again, with --size"
            )
        images[number] = image
    return ImageSet(images, labels, files.classes)


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
    for number in _bar(range(samples), samples, doing):
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
        raise InputError(f"{index}: not a whole index ({str(error).splitlines()[-1]}): {MAKE_AGAIN}") from error
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
        raise InputError(f"{where}: no record is where the index says: {MAKE_AGAIN}")
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
        raise InputError(f"{where} is not a whole PNG: {MAKE_AGAIN}") from error


def _bar(items: Iterable, total: int, label: str) -> Iterable:
    return tqdm(items, total=total, desc=label, unit="image", leave=False, delay=1, disable=None)
