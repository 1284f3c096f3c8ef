"""Write both splits of a data set, or of your own folder of images, as RecordIO: lossless PNG with an index.

    {command} --dataset cifar10                # data/cifar10_{train,test}.{rec,idx}
    {command train} --data-format rec          # trains from them: the same batches

    {command} --images pets --size 32          # pets/train/CLASS/*.jpg, pets/test/CLASS/*.jpg
    {command} --images pets --size 32 --test-share 0.2         # pets/CLASS/*.jpg
    {command train} --dataset pets --data-format rec

Class names, source, mean and standard deviation of the training images are written to data/NAME_records.json. The
records are read back and compared, pixel by pixel, before they are put in place; an interrupted command leaves nothing.
Exit codes: 0 done; 2 wrong arguments or input; 129, 130, 143 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from ..data.geometry import FITS, Geometry
from ..datasets.catalog import DATASETS
from ..datasets.options import DataDirOptions
from ..options import command_line
from ..options.common_arguments import add_quiet
from ..options.fields import assignment, check_name, option, redefine
from ..options.rules import Need, When
from ..system.errors import InputError
from ..system.signals import install

_FROM_IMAGES = ("name", "size", "test_share", "flip")  # options of records that are made from a folder of images


@dataclass(frozen=True)
class RecordsOptions(DataDirOptions):
    """Options for writing RecordIO files; each is set by the flag of the same name of the command `make-records`."""

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
        "write the records of a folder of images: it holds train/ and test/ (or val/, valid/, validation/), and these "
        "a folder of images for each class",
    )
    name: Optional[str] = option(
        None, "with --images: the name of the records, for --dataset in training", unset="the name of the folder"
    )
    size: Optional[int] = option(
        None,
        "with --images: make squares of N pixels, as --fit says",
        low=1,
        high=4096,
        why_high="all images are in memory at once",
        unset="as the images are; all must have one size",
    )
    test_share: Optional[float] = option(
        None,
        "with --images: the folder holds the folders of the classes, and this fraction of each class, for example 0.2, "
        "is drawn for testing",
        above=0,
        below=1,
        low=1e-6,
        why_low="of a million images, none would be drawn",
    )
    fit: str = option(
        Geometry.fit,
        "with --images and --size; crop: scale the shorter side and keep the square in the middle; squash: scale the "
        "whole image, whatever its proportions; images to classify are then brought to size in the same way",
        choices=tuple(FITS),
    )
    skip_broken: bool = option(False, "with --images; 1: leave out images that cannot be read, and name them")
    flip: Optional[bool] = option(
        None,
        "with --images; 1: a mirrored image still shows its class, and training mirrors at random; 0: it does not",
        unset="1",
    )
    seed: int = option(0, "seed of the draw of test images and of the order of the images", low=0, high=2**31 - 1)
    output_dir: Optional[str] = option(None, "folder of the records", unset="--data-dir")
    overwrite: bool = option(False, "1: replace records of the same name")

    rules = (
        *(Need(When(name), When("images")) for name in _FROM_IMAGES),
        Need(When("fit", "squash"), When("size")),
        Need(When("skip_broken"), When("images")),
    )

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.images is None):
            raise InputError("give either `dataset` or `images`")
        super().__post_init__()
        check_name("name", self.title, "file")
        if self.images and self.title in DATASETS:
            raise InputError(f"{assignment('name', self.title)}: the name of a known data set; choose another name")

    @property
    def title(self) -> str:
        """The name of the records."""
        return self.dataset or self.name or os.path.basename(os.path.abspath(self.images or ""))

    @property
    def output(self) -> str:
        """The folder of the records."""
        return os.path.expanduser(self.output_dir or self.data_dir)


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the options."""
    command_line.add_options(parser, RecordsOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> None:
    """Write the records, and print each file with its contents."""
    options = RecordsOptions(**given)
    install(_exit_on_signal, (signal.SIGTERM, signal.SIGHUP))

    from ..datasets import record_files, record_writer

    record_files.check_output(options.output, options.title, options.overwrite)
    sets, facts = _read_images(options)
    record_writer.write_records(options.output, options.title, sets, overwrite=options.overwrite, **facts)
    for split, image_set in sets.items():
        path = record_files.paths(options.output, options.title, split)[0]
        height, width = image_set.images.shape[1:3]
        print(
            f"{path}: {len(image_set.labels)} images of {width}x{height} pixels, {len(image_set.classes)} "
            f"classes, {os.path.getsize(path) / 1e6:.1f} MB"
        )


def _exit_on_signal(signum: int, _: Any) -> None:
    """Leave through the `with` blocks, which remove unfinished files."""
    sys.exit(128 + signum)


def _read_images(options: RecordsOptions) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Return both splits by name, and the other arguments of `record_writer.write_records`."""
    from ..data import image_set
    from ..datasets import catalog, folders

    if options.images:
        geometry = Geometry(options.fit)
        sets = folders.read_folder(
            os.path.expanduser(options.images),
            options.size,
            options.test_share,
            options.seed,
            geometry,
            options.skip_broken,
        )
        mean, std = image_set.channel_statistics(sets["train"].images)
        facts = dict(mean=mean, std=std, flip=options.flip is not False, geometry=geometry)
        return sets, dict(facts, source="images of " + options.images)
    known = catalog.describe_data(options.title)
    sets = {split: catalog.load_images(options.title, options.data_dir, split) for split in known.samples}
    return sets, dict(source=known.title, mean=known.mean, std=known.std, flip=known.flip, geometry=known.geometry)
