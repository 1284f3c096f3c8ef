"""Image sets as RecordIO: PNG records with an index, and one description of both splits.

The set NAME in a folder is five files: `NAME_train.rec` and `NAME_test.rec`, their indices (`.idx`), and
`NAME_records.json` with the class names, where the images are from, mean and standard deviation, and how
many records and bytes each `.rec` has, with its SHA-256. The description is put in place last: without it
there is no set.
"""

import io
import json
import os
import struct
import tempfile
from typing import Dict, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..system.errors import InputError
from ..system.files import digest, writing
from ..system.mxnet import mx
from .datasets import DATASETS, DataSet, ImageSet

SPLITS = ("train", "test")
VERSION = 1
KNOWN = {"samples": int, "bytes": int, "sha256": str}  # what a description says of each split
ANEW = "make the records again, with --overwrite 1"


class RecordFiles(NamedTuple):
    """What the description of a set says of its files."""

    name: str
    splits: Dict[str, dict]  # of each split, the values of `KNOWN`


class RecordFile(NamedTuple):
    """One split on disk, found whole."""

    path: str
    index: str
    samples: int


def paths(directory, name, split):
    """The record file of a split and its index."""
    base = os.path.join(directory, f"{name}_{split}")
    return base + ".rec", base + ".idx"


def description_path(directory, name):
    """The file that describes the set `name`."""
    return os.path.join(directory, name + "_records.json")


def statistics(images):
    """Mean and standard deviation of each channel of uint8 images (N, H, W, 3), for pixels in 0..1.

    Returns
    -------
    mean, std : tuple of 3 float
        Of four decimals; the deviation is at least one grey level, so that it can be divided by.
    """
    values, mean, std = np.arange(256) / 255, [], []
    for channel in range(3):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        mean.append(np.average(values, weights=counts))
        std.append(max(np.sqrt(np.average((values - mean[-1]) ** 2, weights=counts)), 1 / 255))
    return tuple(tuple(round(float(number), 4) for number in numbers) for numbers in (mean, std))


# ---- writing ----


def _files(directory, name):
    """All files of the set `name`, the description last."""
    return [path for split in SPLITS for path in paths(directory, name, split)] + [description_path(directory, name)]


def check_output(directory, name, overwrite=False):
    """Raise InputError where a file of the set `name` is there already, unless it may be overwritten."""
    there = next((path for path in _files(directory, name) if os.path.lexists(path)), None)
    if there and not overwrite:
        raise InputError(f"{there} is there already: give another folder or name, or --overwrite 1")


def write_records(directory, name, splits, source, mean, std, flip, overwrite=False):
    """Write a set, read it back, and put it in place once every record is found to be right.

    Parameters
    ----------
    directory : str
        Made where it is absent.
    name : str
        Of the set, the first part of the files' names.
    splits : dict of str to datasets.ImageSet
        'train' and 'test', of the same classes.
    source : str
        What the images are, for whoever meets the files.
    mean, std : tuple of float
        By channel, for pixels in 0..1.
    flip : bool
        Whether a mirrored image still shows its class.
    overwrite : bool

    Raises
    ------
    InputError
        If a file is there already, or cannot be written.
    """
    check_output(directory, name, overwrite)
    description = {
        "version": VERSION,
        "source": source,
        "classes": list(splits["train"].classes),
        "flip": bool(flip),
        "mean": list(mean),
        "std": list(std),
        "splits": {},
    }
    with writing(f"{directory}: the records"):
        os.makedirs(directory, exist_ok=True)
        # A folder of the same file system, so that putting a file in place is a rename.
        with tempfile.TemporaryDirectory(prefix=f".{name}_records-", dir=directory) as workshop:
            for split in SPLITS:
                description["splits"][split] = _write_split(workshop, name, split, splits[split])
            with open(description_path(workshop, name), "w", encoding="utf-8") as file:
                json.dump(description, file, indent=1)
            _verify(workshop, name, splits)
            _put_in_place(workshop, directory, name)


def _write_split(directory, name, split, image_set):
    """Write the record file of a split and its index; return what the description says of it."""
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
    # MXNet does not say so where the last of its buffer found no room.
    if os.path.getsize(path) != length:
        raise OSError(f"{os.path.getsize(path)} of {length} bytes of the {split} split written: is the disk full?")
    return {"samples": len(image_set.labels), "bytes": length, "sha256": digest(path)}


def _verify(directory, name, splits):
    facts = describe_records(name, directory)
    for split, written in splits.items():
        found = facts.read(facts, directory, split, False)
        if not (
            np.array_equal(found.images, written.images)
            and np.array_equal(found.labels, written.labels)
            and found.classes == tuple(written.classes)
        ):
            raise OSError(f"what was read back of the {split} split is not what was written")


def _put_in_place(workshop, directory, name):
    last = description_path(directory, name)
    # From here until the new description is there, nothing is: old and new files never pass for one set.
    if os.path.lexists(last):
        os.remove(last)
    for path in _files(workshop, name):
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(path, os.path.join(directory, os.path.basename(path)))


# ---- reading ----


def describe_records(name, data_dir):
    """The `datasets.DataSet` of the records called `name` in a folder, no image being read.

    Raises
    ------
    InputError
        If there is no description, or it is damaged.
    """
    path = description_path(data_dir, name)
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        if known["version"] != VERSION:
            raise InputError(f"{path}: of version {known['version']}, expected {VERSION}: {ANEW}")
        numbers = [tuple(float(number) for number in known[key]) for key in ("mean", "std")]
        if [len(part) for part in numbers] != [3, 3] or min(numbers[1]) <= 0:
            raise ValueError("mean or std")
        splits = {split: {key: kind(known["splits"][split][key]) for key, kind in KNOWN.items()} for split in SPLITS}
        samples = {split: splits[split]["samples"] for split in SPLITS}
        if min(samples.values()) < 1:
            raise ValueError("samples")
        return DataSet(
            title=str(known["source"]),
            classes=tuple(map(str, known["classes"])),
            samples=samples,
            mean=numbers[0],
            std=numbers[1],
            flip=bool(known["flip"]),
            read=_read,
            files=RecordFiles(name, splits),
        )
    except FileNotFoundError:
        what = f"--dataset {name}" if name in DATASETS else f"--images FOLDER --name {name}"
        raise InputError(
            f"{path} is not there: make the records with scripts/make_records.py {what} --output-dir {data_dir}"
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}): {ANEW}") from error


def locate(data_set, data_dir, split):
    """A split of records for a reader that is not ours: its files, once they are found to be what was written.

    Parameters
    ----------
    data_set : datasets.DataSet
        As `describe_records` gives it.
    data_dir : str
    split : str
        'train' or 'test'.

    Returns
    -------
    RecordFile

    Raises
    ------
    InputError
        If a file is absent, cut short or damaged.
    """
    data_dir = os.path.expanduser(str(data_dir))
    samples = sum(1 for _ in _records(data_set, data_dir, split, "checking"))
    return RecordFile(*paths(data_dir, data_set.files.name, split), samples)


def image_size(data_set, data_dir):
    """Height and width of the images, which are the first test image's.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path, index = paths(os.path.expanduser(str(data_dir)), data_set.files.name, "test")
    where = f"{path}: record 0"
    reader = _open(path, index, data_set.files.splits["test"])
    _, png = _unpack(_record(reader, 0, where), 0, len(data_set.classes), where)
    reader.close()
    return _decode(png, where).shape[:2]


def _read(data_set, data_dir, split, download):
    """A split decoded into memory: the `read` of a `DataSet` of records. Nothing is ever downloaded."""
    images, labels = None, np.empty(data_set.samples[split], np.int32)
    for number, (where, label, png) in enumerate(_records(data_set, data_dir, split, "reading")):
        image, labels[number] = _decode(png, where), label
        if images is None:
            images = np.empty((len(labels),) + image.shape, np.uint8)
        if image.shape != images.shape[1:]:
            raise InputError(
                "%s is of %dx%d pixels, those before of %dx%d: training reads images of one size; make "
                "them with --size" % ((where,) + image.shape[1::-1] + images.shape[2:0:-1])
            )
        images[number] = image
    return ImageSet(images, labels, data_set.classes)


def _records(data_set, data_dir, split, doing):
    """Yield where it is, the label and the PNG of each record of a split in order, then check the whole file."""
    name, known = data_set.files.name, data_set.files.splits[split]
    path, index = paths(data_dir, name, split)
    reader = _open(path, index, known)
    for number in _bar(range(known["samples"]), known["samples"], f"{doing} {split}"):
        where = f"{path}: record {number}"
        yield (where,) + _unpack(_record(reader, number, where), number, len(data_set.classes), where)
    reader.close()
    # Now and then a flipped bit gives another image and no error: 23 of 3,000 in CIFAR-10.
    if digest(path) != known["sha256"]:
        raise InputError(
            f"{path} is damaged: its SHA-256 is not the one in {os.path.basename(description_path(data_dir, name))}; {ANEW}"
        )


def _open(path, index, known):
    """A reader of a record file that has its whole length, and an index that fits it."""
    for file in (path, index):
        if not os.path.isfile(file):
            raise InputError(f"{file} is not there: {ANEW}")
    found = os.path.getsize(path)
    if found != known["bytes"]:
        raise InputError(
            f"{path}: {found:,} bytes, expected {known['bytes']:,}: "
            f"{('cut short' if found < known['bytes'] else 'too long')}; {ANEW}"
        )
    try:
        reader = mx.recordio.MXIndexedRecordIO(index, path, "r")
    except (OSError, ValueError, IndexError, mx.base.MXNetError) as error:
        raise InputError(f"{index}: not a whole index ({str(error).splitlines()[-1]}): {ANEW}") from error
    if reader.keys != list(range(known["samples"])):
        raise InputError(
            f"{index}: lists {len(reader.keys):,} records, expected {known['samples']:,}: cut short, "
            f"or of another file; {ANEW}"
        )
    far = max(reader.idx.values())
    if not 0 <= min(reader.idx.values()) <= far < found:
        raise InputError(f"{index}: points to byte {far:,} of {found:,} in {os.path.basename(path)}: {ANEW}")
    return reader


def _record(reader, number, where):
    try:
        record = reader.read_idx(number)
    except mx.base.MXNetError:
        record = None
    if record is None:
        raise InputError(f"{where}: no record is where the index says: {ANEW}")
    return record


def _unpack(record, number, classes, where):
    """The label and the PNG of a record, its header checked."""
    try:
        header, png = mx.recordio.unpack(record)
    except (struct.error, ValueError) as error:
        raise InputError(f"{where} is no image record: {ANEW}") from error
    if header.id != number:
        raise InputError(f"{where} calls itself {header.id}: the index is of another file; {ANEW}")
    if header.flag or header.label not in range(classes):
        raise InputError(
            f"{where} has label {(f'{header.flag} numbers' if header.flag else f'{header.label:g}')}, "
            f"expected 0 to {classes - 1}: {ANEW}"
        )
    return int(header.label), png


def _decode(png, where):
    """The image, uint8 (H, W, 3)."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # damaged bytes make Pillow raise more kinds than it names
        raise InputError(f"{where} is not a whole PNG: {ANEW}") from error


def _bar(items, total, label):
    return tqdm(items, total=total, desc=label, unit="image", leave=False, delay=1, disable=None)
