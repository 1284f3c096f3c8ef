"""The options of the commands that read a parameter file: testing and prediction, and the groups they share."""

# mypy: disable-error-code="assignment"
# A redefined option may be None where the option of its group may not.

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from ..data.corruptions import CORRUPTIONS, parse_names
from ..data.geometry import Geometry
from ..datasets.options import FORMATS, DataOptions
from ..models.options import NetworkOptions
from ..options.fields import Options, assignment, option, redefine, resolve_output
from ..options.groups import CHOSEN_GPUS, DEVICE_RULES, GPU_RULES, SEVERAL_CPUS, DeviceOptions, GpuOptions
from ..options.rules import Conflict, Need, When
from ..runtimes.options import BY_ENGINE, ENGINE_RULES, RuntimeOptions
from ..system.errors import InputError

GRAPHS = ("plain", "fused", "int8")
HARDEST_OF = ("mistakes", "all")
PREDICTION_FORMATS = ("text", "csv", "json")

_HARDEST = "the images go to files or JSON"
_DESCRIBED = "as described beside the parameters"


@dataclass(frozen=True)
class ModelFileOptions(NetworkOptions, DataOptions):
    """Options that identify the network and the data set of a parameter file.

    Options that are None are read from the description beside the parameters; so is `data_dir`, if that folder exists.
    """

    heading = "data"

    dataset: Optional[str] = redefine(DataOptions, "dataset", None, help="data set of the parameters", unset=_DESCRIBED)
    data_dir: Optional[str] = redefine(DataOptions, "data_dir", None, unset="as in training, else data")
    data_format: Optional[str] = redefine(
        DataOptions, "data_format", None, choices=(*FORMATS, "folder"), unset=f"{_DESCRIBED}, else bin"
    )
    classes: Optional[str] = option(
        None, "file with a name for each class, one per line", metavar="FILE", unset="the names of the data set"
    )
    num_layers: Optional[int] = redefine(NetworkOptions, "num_layers", None, unset=_DESCRIBED)
    widths: Optional[str] = redefine(NetworkOptions, "widths", None, unset=_DESCRIBED)
    unit: Optional[str] = redefine(NetworkOptions, "unit", None, unset=f"{_DESCRIBED}, else bottleneck")
    attention_learning: Optional[str] = redefine(NetworkOptions, "attention_learning", None, unset=_DESCRIBED)
    attention: Optional[str] = redefine(NetworkOptions, "attention", None, unset=f"{_DESCRIBED}, else mixed")
    mask: Optional[str] = redefine(NetworkOptions, "mask", None, unset=f"{_DESCRIBED}, else hourglass")


@dataclass(frozen=True)
class ViewOptions(Options):
    """What a network sees of an image file."""

    heading = "images"

    image_size: Optional[int] = option(
        None,
        "height and width in pixels at which image files are read, other than in training; a network takes any",
        low=8,
        high=4096,
        why_high="no network of this package has the memory for more",
        unset="as in training",
    )
    crop_ratio: Optional[float] = option(
        None,
        "side of the middle of an image file that the network sees, relative to the shorter side",
        above=0,
        low=0.01,
        high=1,
        unset="as in training",
    )

    def see(self, geometry: Geometry) -> Geometry:
        """Return the geometry of a network's images with the crop ratio of these options, where it is given.

        Raises
        ------
        InputError
            If the network sees whole images.
        """
        if self.crop_ratio is None:
            return geometry
        if geometry.fit != "crop":
            raise InputError(f"`crop_ratio={self.crop_ratio:g}`: the network was trained on whole images; leave it out")
        return replace(geometry, crop_ratio=self.crop_ratio)


@dataclass(frozen=True)
class CalibrationOptions(Options):
    """The images that an INT8 network is calibrated with."""

    heading = "INT8"

    calibration_images: Optional[int] = option(
        None,
        "with INT8: number of training images that the ranges of the layers are taken from",
        low=1,
        high=1_000_000,
        why_high="they are computed in one batch after another, in memory",
        unset="256, or all if there are fewer",
    )


@dataclass(frozen=True)
class TestOptions(CalibrationOptions, RuntimeOptions, DeviceOptions, ViewOptions, ModelFileOptions):
    """Options of a measurement on the test images; each is set by the flag of the same name of the command `test`."""

    heading = "measurement"

    batch_size: int = redefine(DeviceOptions, "batch_size", 250)
    graph: str = option(
        "plain",
        "how the network is computed; fused: neighbouring layers in one, the same logits; int8: in whole numbers, "
        "nearly the same logits; fused and int8 run on the CPU only",
        choices=GRAPHS,
    )
    flip: bool = option(False, "1: also measure the mean of the probabilities of each image and its mirror image")
    crops: int = option(
        1,
        "parts of each image file whose probabilities are averaged; 1: the middle; 5: the corners too; 10: these and "
        "their mirror images",
        choices=(1, 5, 10),
    )
    ensemble: bool = option(False, "1: also measure the mean of the probabilities of several files")
    corruptions: str = option(
        "0",
        "1: also measure top-1 under corruptions of the images, each at five strengths, as in CIFAR-10-C; or names of "
        f"corruptions, for example noise,blur; all: {', '.join(CORRUPTIONS)}",
        metavar="{0,1,NAMES}",
    )
    corruption_images: Optional[int] = option(
        None, "with --corruptions: only the first N test images", low=1, unset="all"
    )
    format: str = option(
        "text",
        "text: tables; json: on stdout the JSON that --output writes, and nothing else",
        choices=("text", "json"),
    )
    output: Optional[str] = option(
        None,
        "folder for evaluation.json and the figures; with several files, for comparison.json and such a folder for "
        "each file",
    )
    hardest: Optional[int] = option(
        None,
        "with --output or --format json: largest number of test images with the highest loss to report",
        low=1,
        high=500,
        why_high="they are one picture",
        unset="24",
    )
    hardest_of: str = option(
        "mistakes",
        "with --output or --format json: which images --hardest counts; mistakes: only those that are classified "
        "wrongly; all: also those that are classified correctly, but with a high loss",
        choices=HARDEST_OF,
    )

    rules = (
        *DEVICE_RULES,
        *ENGINE_RULES,
        *(Conflict(setting, SEVERAL_CPUS, reason="engines compute on one device") for setting in BY_ENGINE),
        *(Conflict(When("graph"), setting, reason="graphs are MXNet's") for setting in BY_ENGINE),
        Conflict(When("crops", 10), When("flip"), reason="ten crops have the mirror images"),
        Conflict(When("ensemble"), When("corruptions"), reason="corruptions are measured of single files only"),
        Conflict(
            When("graph"),
            When("num_gpus", above=0),
            reason="this graph runs on the CPU",
            advice="give `num_gpus=0` or leave it out",
        ),
        Conflict(When("graph"), CHOSEN_GPUS, reason="this graph runs on the CPU", advice="leave `gpus` out"),
        Conflict(When("graph"), SEVERAL_CPUS, reason="this graph runs on one device"),
        Need(When("hardest"), When("output"), When("format", "json"), reason=_HARDEST),
        Need(When("hardest_of"), When("output"), When("format", "json"), reason=_HARDEST),
        Need(When("corruption_images"), When("corruptions")),
        Need(When("calibration_images"), When("graph", "int8")),
    )

    def __post_init__(self) -> None:
        parse_names(self.corruptions)  # a wrong name is the first error
        super().__post_init__()
        if self.folder is not None and os.path.exists(self.folder) and not os.path.isdir(self.folder):
            raise InputError(f"{assignment('output', self.output)}: that is a file; give a folder")

    @property
    def folder(self) -> Optional[str]:
        """The folder that the output goes to; None if no files are written."""
        return None if self.output is None else os.path.expanduser(self.output)

    @property
    def corruption_names(self) -> Tuple[str, ...]:
        """The corruptions to measure, keys of `CORRUPTIONS`."""
        return parse_names(self.corruptions)


_FORMATS_BY_ENDING = {"": "text", "txt": "text", "csv": "csv", "json": "json"}


@dataclass(frozen=True)
class ClassifierOptions(RuntimeOptions, GpuOptions, ViewOptions, ModelFileOptions):
    """What a classifier is opened with: a parameter file or an exported file, its images, and what computes it."""

    rules = GPU_RULES + ENGINE_RULES


@dataclass(frozen=True)
class PredictionOptions(ClassifierOptions):
    """Options of a prediction; each is set by the flag of the same name of the command `predict`."""

    heading = "output"

    top: int = option(
        5,
        "number of classes to name for each image, the most probable first",
        low=1,
        high=100_000,
        why_high="no data set has more classes",
        short="-k",
    )
    format: Optional[str] = option(
        None,
        "text: one line per image, in columns; csv; json",
        choices=PREDICTION_FORMATS,
        unset="by the extension of --output, else text",
    )
    output: Optional[str] = option(None, "file for the predictions", unset="stdout")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is None:
            return
        resolve_output(self, "output")
        if self.output_format is None:
            endings = ", ".join(f".{ending}" for ending in _FORMATS_BY_ENDING if ending)
            raise InputError(
                f"{assignment('output', self.output)}: unknown file name extension; give a name that ends in "
                f"{endings}, or choose a `format`"
            )

    @property
    def output_format(self) -> Optional[str]:
        """One of `PREDICTION_FORMATS`: as given, else by the ending of the output's name; None for other endings."""
        ending = os.path.splitext(self.output or "")[1][1:].lower()
        return self.format or _FORMATS_BY_ENDING.get(ending)
