"""The options of a report on runs and of a sheet of soft masks."""

# mypy: disable-error-code="assignment"
# A redefined option may be None where the option of its group may not.

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional, Tuple

from ..datasets.options import DataDirOptions
from ..evaluation.options import HARDEST_OF
from ..options.fields import assignment, option, redefine, resolve_output
from ..options.groups import GpuOptions
from ..prediction.options import ModelFileOptions
from ..runs.options import RunFolderOptions
from ..system.errors import InputError


@dataclass(frozen=True)
class MaskOptions(ModelFileOptions):
    """Options of a sheet of soft masks; each is set by the flag of the same name of the command `show-masks`."""

    heading = "sheet"

    from_test: int = option(
        0, "also show the first N test images of the data set", low=0, high=100, why_high="the sheet has a row for each"
    )
    sheet: str = option(
        "overlay",
        "overlay: the mean of each mask over its channels and single channels, drawn over the image, each with a scale "
        "of its own; arrays: the mask M, the trunk T and their product as they are, with scales that all images share",
        choices=("overlay", "arrays"),
    )
    channels: Optional[Tuple[int, ...]] = option(
        None,
        "channels to show, for example 0,5,9",
        unset="overlay: the three that vary most over the image; arrays: the mean over all channels",
    )
    grad_cam: bool = option(
        False,
        "1: also show where the features of the last stage support the predicted class (Grad-CAM)",
    )
    output: str = option("sheet.png", "file of the sheet: .png, .svg or .pdf")
    board: Optional[str] = option(
        None,
        "also show the sheet of each module on TensorBoard, as RUN_masks in this folder, at the epoch of the "
        "parameters: the sheets of several parameter files form a sequence",
        metavar="FOLDER",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels is not None and min(self.channels) < 0:
            raise InputError(f"{assignment('channels', self.channels)}: channels are counted from 0")
        resolve_output(self, "output")
        if os.path.splitext(self.output)[1].lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"{assignment('output', self.output)}: give a name that ends in .png, .svg or .pdf")


@dataclass(frozen=True)
class ReportOptions(GpuOptions, RunFolderOptions, DataDirOptions):
    """Options of a report on runs; each is set by the flag of the same name of the command `report`."""

    heading = "report"

    data_dir: Optional[str] = redefine(
        DataDirOptions,
        "data_dir",
        None,
        help="folder of the data sets; nothing is downloaded",
        unset="as in training, else data",
    )
    log_dir: Optional[str] = redefine(
        RunFolderOptions, "log_dir", None, help="--log-dir of the training", unset="as the run itself says, else log"
    )
    model_dir: str = redefine(
        RunFolderOptions,
        "model_dir",
        RunFolderOptions.model_dir,
        help="--model-dir of the training: where runs given by name are",
    )
    batch_size: int = redefine(GpuOptions, "batch_size", 250)
    output: str = option("report.html", "file of the page")
    evaluate: bool = option(
        True, "0: leave out what needs an evaluation: confusion matrices, accuracy by class and hardest images"
    )
    hardest: int = option(
        24,
        "largest number of test images with the highest loss to show",
        low=0,
        high=500,
        why_high="they are on one page",
    )
    hardest_of: str = option(
        "mistakes",
        "which images --hardest counts; mistakes: only those that are classified wrongly; all: also those that are "
        "classified correctly, but with a high loss",
        choices=HARDEST_OF,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_output(self, "output")
