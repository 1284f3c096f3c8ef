"""Write image sets as RecordIO: PNG records with an index, all files or none.

`record_files` has the names of the files and their description; `recordio` reads them.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from typing import Dict, Tuple

import numpy as np
from PIL import Image

from ..data.geometry import DEFAULT, Geometry
from ..data.image_set import ImageSet, image_progress
from ..machine.mxnet import mx
from ..system.files import writing
from .record_files import SPLITS, check_output, description_path, make_description, paths, put_in_place
from .recordio import read_records


def write_records(
    directory: str,
    name: str,
    splits: Dict[str, ImageSet],
    source: str,
    mean: Tuple[float, float, float],
    std: Tuple[float, float, float],
    flip: bool,
    overwrite: bool = False,
    geometry: Geometry = DEFAULT,
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
    geometry : Geometry
        How the images were brought to their size, and how other images are to be.

    Raises
    ------
    InputError
        If a file exists already, or cannot be written.
    """
    check_output(directory, name, overwrite)
    with writing(f"{directory}: the records"):
        os.makedirs(directory, exist_ok=True)
        # A folder of the same file system, so that putting a file in place is a rename.
        with tempfile.TemporaryDirectory(prefix=f".{name}_records-", dir=directory) as staging_folder:
            for split in SPLITS:
                _write_split(staging_folder, name, split, splits[split])
            description = make_description(
                staging_folder, name, splits, source=source, mean=mean, std=std, flip=flip, geometry=geometry
            )
            with open(description_path(staging_folder, name), "w", encoding="utf-8") as file:
                json.dump(description, file, indent=1)
            _verify(staging_folder, name, splits)
            put_in_place(staging_folder, directory, name, overwrite)


def _write_split(directory: str, name: str, split: str, image_set: ImageSet) -> None:
    """Write the record file of a split and its index."""
    path, index = paths(directory, name, split)
    try:
        writer = mx.recordio.MXIndexedRecordIO(index, path, "w")
        pairs = zip(image_set.images, image_set.labels)
        for number, (image, label) in enumerate(image_progress(pairs, f"writing {split}", len(image_set.labels))):
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
            raise OSError(f"the {split} split reads back differently from what was written")
