"""The options of the writing of RecordIO files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

from ..data.datasets import DATASETS
from ..data.options import DataDirOptions
from ..system.errors import InputError
from ..system.option_rules import Need, When
from ..system.options import assignment, check_name, option, redefine

_FROM_IMAGES = ("name", "size", "test_share", "flip")  # options of records that are made from a folder of images


@dataclass(frozen=True)
class RecordsOptions(DataDirOptions):
    """Options of the writing of RecordIO files; each is the flag of the same name of the command `make-records`."""

    heading = "records"

    data_dir: str = redefine(
        DataDirOptions,
        "data_dir",
        DataDirOptions.data_dir,
        help="folder of the files of CIFAR; missing ones are downloaded to it",
    )
    dataset: Optional[str] = option(None, "write the records of this data set", choices=tuple(DATASETS))
    images: Optional[str] = option(
        None,
        "write the records of a folder of images: it holds train/ and test/ (or val/), and these a folder of images "
        "for each class",
    )
    name: Optional[str] = option(
        None, "with --images: the name of the records, for --dataset in training", unset="the name of the folder"
    )
    size: Optional[int] = option(
        None,
        "with --images: scale the shorter side to N pixels and keep the square in the middle",
        low=1,
        unset="as the images are; all must have one size",
    )
    test_share: Optional[float] = option(
        None,
        "with --images: the folder holds the folders of the classes, and this fraction of each class, for example 0.2, "
        "is drawn for testing",
        above=0,
        below=1,
    )
    flip: Optional[bool] = option(
        None,
        "with --images; 1: a mirrored image still shows its class, and training mirrors at random; 0: it does not",
        unset="1",
    )
    seed: int = option(0, "seed of the draw of test images and of the order of the images", low=0, high=2**31 - 1)
    output_dir: Optional[str] = option(None, "folder of the records", unset="--data-dir")
    overwrite: bool = option(False, "1: replace records of the same name")

    rules = tuple(Need(When(name), When("images")) for name in _FROM_IMAGES)

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.images is None):
            raise InputError("give either `dataset` or `images`")
        super().__post_init__()
        check_name("name", self.title, "file")
        if self.images and self.title in DATASETS:
            raise InputError(f"{assignment('name', self.title)}: a known data set has this name; give another name")

    @property
    def title(self) -> str:
        """The name of the records."""
        return self.dataset or self.name or os.path.basename(os.path.abspath(self.images or ""))

    @property
    def output(self) -> str:
        """The folder of the records."""
        return os.path.expanduser(self.output_dir or self.data_dir)
