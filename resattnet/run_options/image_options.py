"""The options of a training run on a folder of images of any size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Container, Dict, Optional, Type

from ..data.geometry import INTERPOLATIONS
from ..datasets.options import FOLDER_FORMATS
from ..models.spec import STEMS
from ..options.fields import Options, option, redefine
from ..options.rules import Conflict, When
from ..system.errors import InputError, one_line
from .option_groups import AugmentationOptions
from .option_rules import RUN_RULES
from .options import DataSource, RunOptions, TrainingOptions

SMALL_IMAGES = 48  # pixels: images up to this size have the stem for CIFAR, which keeps their size


@dataclass(frozen=True)
class ImageFolderOptions(Options):
    """The folder of the images, its splits, and how the images are read."""

    heading = "data"

    data_dir: Optional[str] = option(
        None,
        "folder of images: train/CLASS/... and val/CLASS/... (also valid, validation, test), or CLASS/... with "
        "--val-fraction; ImageNet's own layouts are understood too; or record files that MXNet's im2rec has written",
        metavar="FOLDER",
    )
    data_format: Optional[str] = option(
        None,
        "files: image files; rec: record files, train.rec and val.rec or NAME_train.rec and NAME_val.rec",
        choices=FOLDER_FORMATS,
        unset="rec if the folder has record files and no folder of training images, else files",
    )
    train_split: Optional[str] = option(None, "name of the folder or record file of training images", unset="train")
    val_split: Optional[str] = option(
        None,
        "name of the folder or record file of validation images",
        unset="the first of val, valid, validation, test",
    )
    val_fraction: Optional[float] = option(
        None,
        "validate on this fraction of the images of each class, for example 0.1, and train on the others",
        above=0,
        below=1,
    )
    val_labels: Optional[str] = option(
        None,
        "list of the labels of a folder of validation images without folders of the classes",
        unset="found beside the images, as ImageNet has it",
        metavar="FILE",
    )
    class_names: Optional[str] = option(
        None,
        "names of the classes, one on each line, in the order of their folders; or ImageNet's LOC_synset_mapping.txt",
        unset="the names of the folders",
        metavar="FILE",
    )
    loader: str = option(
        "stream",
        "stream: worker processes read the training images; dali: NVIDIA DALI decodes and scales them, on the first "
        "GPU if the run uses GPUs",
        choices=("stream", "dali"),
    )
    skip_broken: bool = option(
        False, "1: go on without images that cannot be read, and name them; more than 1 % end the run"
    )
    image_size: int = option(224, "height and width of the network's input in pixels", low=16, high=1024)
    crop_scale: float = option(
        0.08,
        "least area of the random part of a training image that is scaled to --image-size, relative to the image; 1: "
        "the whole of the image but for its proportions",
        above=0,
        high=1,
    )
    crop_ratio: float = option(
        0.875,
        "side of the middle of an image that validation and prediction see, relative to the shorter side",
        above=0,
        high=1,
    )
    interpolation: str = option("bilinear", "interpolation of images that are scaled", choices=INTERPOLATIONS)
    flip: bool = option(True, "0: training images are not mirrored, as for text or digits")


@dataclass(frozen=True)
class ImageTrainingOptions(RunOptions, ImageFolderOptions):
    """Options of a run on a folder of images; each is set by the flag of the same name of `train-images`.

    After construction, `data_dir` is None or an absolute path, and `stem` is a key of `STEMS`.
    """

    command = "train-images"
    rules = (
        Conflict(When("val_split"), When("val_fraction"), reason="the one names the images that the other draws"),
        Conflict(When("data_format", "rec"), When("val_labels"), reason="records hold their labels"),
        *RUN_RULES,
    )

    stem: Optional[str] = option(
        None,
        "first layers; imagenet: a 7x7 convolution of stride 2 and a pooling of stride 2; cifar: a 3x3 convolution",
        choices=tuple(STEMS),
        unset=f"cifar for --image-size up to {SMALL_IMAGES}, else imagenet",
    )
    cutout: int = redefine(AugmentationOptions, "cutout", 0, high=1024)

    def __post_init__(self) -> None:
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", os.path.abspath(os.path.expanduser(self.data_dir)))
        if self.stem is None:
            object.__setattr__(self, "stem", "cifar" if self.image_size <= SMALL_IMAGES else "imagenet")
        super().__post_init__()

    @property
    def source(self) -> DataSource:
        """Where the images come from; the data set has the name of its folder."""
        if self.data_dir is None:
            raise InputError("`data_dir`: give the folder of the images")
        return DataSource(one_line(os.path.basename(self.data_dir)) or "images", self.data_dir, "folder")

    @property
    def network(self) -> Dict[str, Any]:
        """The fields of `NetworkSpec` that are options, by name."""
        return dict(super().network, stem=self.stem)

    @property
    def splits(self) -> Dict[str, Any]:
        """The options that say where in the folder the images and labels of both splits are."""
        names = ("data_format", "train_split", "val_split", "val_fraction", "val_labels", "class_names", "seed")
        return {name: getattr(self, name) for name in names}

    @property
    def described(self) -> Dict[str, Any]:
        """What a parameter file says of the images beside `source`."""
        return {"splits": self.splits}


def options_kind(names: Container[str]) -> Type[RunOptions]:
    """Return the class of the options of a run from their names: only a run on a folder has an `image_size`."""
    return ImageTrainingOptions if "image_size" in names else TrainingOptions
