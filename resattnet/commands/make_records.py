"""Options of the writing of records."""

import os
from dataclasses import dataclass
from typing import Optional

from ..data.datasets import DATASETS
from ..system.errors import InputError
from ..system.options import Options, check_name, flag_name, option


@dataclass(frozen=True)
class RecordsOptions(Options):
    """Arguments of a writing of records; each is the flag of the same name of `scripts/make_records.py`."""

    dataset: Optional[str] = option(None, "write the records of a known set", choices=tuple(DATASETS))
    images: Optional[str] = option(
        None,
        "write those of a folder: train/ and test/ (or val/) in it, and in these a folder of images for each class",
    )
    name: Optional[str] = option(None, "with --images: what --dataset will call them", unset="the folder's name")
    size: Optional[int] = option(
        None,
        "with --images: scale the shorter side to so many pixels and keep the middle square",
        low=1,
        unset="as they are, all of one size",
    )
    test_share: Optional[float] = option(
        None,
        "with --images: the folders in it are the classes, and this share of each, as 0.2, is drawn for testing",
        above=0,
        below=1,
    )
    flip: Optional[bool] = option(
        None,
        "with --images: 1: a mirrored image still shows its class, and training mirrors at random; 0: it does not",
        unset="1",
    )
    seed: int = option(0, "draws the test share and the order of the images", low=0, high=2**31 - 1)
    data_dir: str = option("data", "where CIFAR's files are, or are downloaded to")
    output_dir: Optional[str] = option(None, "where the records go", unset="--data-dir")
    overwrite: bool = option(False, "1 replaces records of that name")

    def __post_init__(self):
        super().__post_init__()
        if (self.dataset is None) == (self.images is None):
            raise InputError("give either --dataset or --images")
        for name in ("name", "size", "test_share", "flip"):
            if self.dataset and getattr(self, name) is not None:
                raise InputError(f"{flag_name(name)} goes with --images, not with --dataset")
        check_name("--name", self.title, "file")
        if self.images and self.title in DATASETS:
            raise InputError(f"--name {self.title}: a known set is called so; give another name")

    @property
    def title(self):
        """What the records are called."""
        return self.dataset or self.name or os.path.basename(os.path.abspath(self.images))

    @property
    def output(self):
        """The folder they go to."""
        return os.path.expanduser(self.output_dir or self.data_dir)
