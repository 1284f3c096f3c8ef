"""The options of a measurement on test images, and the group that it shares with the export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from ..data.corruptions import CORRUPTIONS, parse_names
from ..options.fields import Options, assignment, option, redefine
from ..options.groups import CHOSEN_GPUS, DEVICE_RULES, SEVERAL_CPUS, DeviceOptions
from ..options.rules import Conflict, Need, When
from ..prediction.options import ViewedModelOptions
from ..runtimes.options import BY_ENGINE, ENGINE_RULES, RuntimeOptions
from ..system.errors import InputError

GRAPHS = ("plain", "fused", "int8")
HARDEST_OF = ("mistakes", "all")

_HARDEST = "the images go to files or JSON"


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
class TestOptions(CalibrationOptions, RuntimeOptions, DeviceOptions, ViewedModelOptions):
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

    def check_source(self, source: Mapping[str, str]) -> None:
        """Raise InputError if an option that needs image files is given for a data set that has none."""
        if source["data_format"] == "folder":
            return
        for name in ("image_size", "crop_ratio", "crops"):
            value = getattr(self, name)
            if value != self.defaults()[name]:
                raise InputError(
                    f"`{name}={value:g}`: the test images of {source['name']} are stored at one size; leave it out"
                )

    @property
    def folder(self) -> Optional[str]:
        """The folder that the output goes to; None if no files are written."""
        return None if self.output is None else os.path.expanduser(self.output)

    @property
    def corruption_names(self) -> Tuple[str, ...]:
        """The corruptions to measure, keys of `CORRUPTIONS`."""
        return parse_names(self.corruptions)
