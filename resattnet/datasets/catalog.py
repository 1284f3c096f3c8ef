"""The table of data sets, and the two ways to use it: describe a data set, and read its images.

Images are uint8 and labels int32. Nothing here augments or normalises. A new data set is one entry of `SETS`.
"""

from __future__ import annotations

import os
from typing import Dict, List, Protocol, Union

from ..data.facts import DataFacts
from ..data.image_set import ImageSet
from ..system.errors import InputError
from .cifar import CIFAR10, CIFAR100
from .cifar_records import SIDE as SIDE  # height and width of the images of every set of the table
from .digits import DIGITS
from .record_files import describe_records, record_remarks


class Source(Protocol):
    """A data set that can be read; the type of each entry of `SETS`."""

    @property
    def facts(self) -> DataFacts:
        """Facts of the data set, known before it is read."""

    def read(self, data_dir: str, split: str, download: bool = True) -> ImageSet:
        """Read a split, downloading what is missing if `download` is true."""

    def remarks(self, data_dir: str) -> List[str]:
        """Return what cannot be said of the files that were read, as lines for the log of a run."""


SETS: Dict[str, Source] = {"digits": DIGITS, "cifar10": CIFAR10, "cifar100": CIFAR100}
DATASETS = tuple(SETS)


def load_images(
    name: str,
    data_dir: Union[str, os.PathLike, None],
    split: str,
    download: bool = True,
    data_format: str = "bin",
) -> ImageSet:
    """Read one split of a data set.

    Parameters
    ----------
    name : str
        One of `DATASETS`, or with `data_format="rec"` the name of any set of records.
    data_dir : str
        The folder of the set, or the folder that it is in or will be downloaded to. Not used for the digits.
    split : str
        'train' or 'test'.
    download : bool
        Whether missing files are downloaded. An archive in `data_dir` is unpacked in either case.
    data_format : str
        One of `options.FORMATS`: 'bin' reads the set's own files, 'rec' the records that `record_writer.write_records`
        wrote.

    Returns
    -------
    ImageSet
        uint8 images (N, H, W, 3), int32 labels (N,) and the class names.

    Raises
    ------
    InputError
        If the name or the split is unknown; if files are missing and cannot be obtained; if a file has the wrong length
        or a label out of range.
    """
    facts = describe_data(name, data_dir, data_format)
    if split not in facts.samples:
        raise InputError(f"`split={split}`: choose from {', '.join(facts.samples)}")
    folder = os.path.expanduser(str(data_dir))
    if data_format == "rec":
        from .recordio import read_records  # here, since it imports MXNet, which a set's own files do not need

        return read_records(name, folder, split)
    return SETS[name].read(folder, split, download)


def describe_data(name: str, data_dir: Union[str, os.PathLike, None] = None, data_format: str = "bin") -> DataFacts:
    """Return the facts of a data set without reading an image.

    Parameters
    ----------
    name : str
        See `load_images`.
    data_dir : str, optional
        The folder of the records; not used for a set's own files.
    data_format : str
        One of `options.FORMATS`.

    Raises
    ------
    InputError
        If there is no such data set, or the description of its records is missing or damaged.
    """
    if data_format == "rec":
        known = f"--dataset {name}" if name in SETS else None
        return describe_records(name, os.path.expanduser(str(data_dir)), known)
    if name not in SETS:
        raise InputError(f"`dataset={name}`: choose from {', '.join(SETS)}")
    return SETS[name].facts


def data_remarks(name: str, data_dir: Union[str, os.PathLike, None], data_format: str = "bin") -> List[str]:
    """Return what nothing confirms about the files of a data set that was read, as lines for the log of a run.

    Parameters
    ----------
    name, data_dir, data_format
        As for `load_images`.
    """
    folder = os.path.expanduser(str(data_dir))
    if data_format == "rec":
        return record_remarks(name, folder)
    return [] if data_format == "folder" else SETS[name].remarks(folder)
