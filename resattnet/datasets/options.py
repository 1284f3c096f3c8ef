"""Group the options for data sets, which several commands share."""

from __future__ import annotations

from dataclasses import dataclass

from ..options.fields import Options, option

FORMATS = ("bin", "rec")  # of a data set: its own files or the records of `make-records`
FOLDER_FORMATS = ("files", "rec")  # of a folder of images: image files or record files


@dataclass(frozen=True)
class DataDirOptions(Options):
    """The folder of the data sets."""

    heading = "data"

    data_dir: str = option("data", "folder of the data sets; missing ones are downloaded to it")


@dataclass(frozen=True)
class DataSetOptions(Options):
    """The name of a data set and the format of its files."""

    heading = "data"

    dataset: str = option(
        "cifar10",
        "data set to train on: digits (part of the package), cifar10 or cifar100; with --data-format rec also the "
        "name of your own records",
    )
    data_format: str = option(
        "bin", "bin: the binary files of the data set; rec: RecordIO files, which make-records writes", choices=FORMATS
    )


@dataclass(frozen=True)
class DataOptions(DataDirOptions, DataSetOptions):
    """A data set and where it is."""
