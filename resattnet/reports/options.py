"""Options of a report of runs and of a sheet of soft masks."""

import os
from dataclasses import dataclass
from typing import Optional, Tuple

from ..evaluation.options import ModelFileOptions
from ..system.errors import InputError
from ..system.options import ALL_GPUS, Options, option, resolve_output


@dataclass(frozen=True)
class MaskOptions(ModelFileOptions):
    """Arguments of a sheet of soft masks; each is the flag of the same name of `scripts/show_masks.py`."""

    from_test: int = option(0, "also show the first so many test images of the data set", low=0)
    channels: Optional[Tuple[int, ...]] = option(
        None, "channels to show, a row for each, as 0,5,9", unset="the mean over all"
    )
    grad_cam: bool = option(
        False, "1 also shows where the last stage's features speak for the predicted class (Grad-CAM)"
    )
    output: str = option("sheet.png", "file of the sheet: .png, .svg or .pdf")
    board: Optional[str] = option(
        None,
        "also put the sheets of the single modules on TensorBoard, as RUN_masks in "
        "this folder, at the epoch of the parameters, so that those of several make a row",
        metavar="FOLDER",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.channels is not None and min(self.channels) < 0:
            raise InputError(f"--channels {','.join(map(str, self.channels))}: they are counted from 0")
        resolve_output(self, "output")
        if os.path.splitext(self.output)[1].lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"--output {self.output}: give a name that ends in .png, .svg or .pdf")


@dataclass(frozen=True)
class ReportOptions(Options):
    """Arguments of a report of runs; each is the flag of the same name of `scripts/report.py`."""

    output: str = option("report.html", "the page")
    log_dir: Optional[str] = option(None, "--log-dir of the training", unset="what the run itself says, else log")
    model_dir: str = option("models", "--model-dir of the training, where runs given by name are")
    evaluate: bool = option(True, "0 leaves out what takes an evaluation: confusions, classes and hardest images")
    hardest: int = option(24, "how many test images of the highest loss to show", low=0)
    data_dir: Optional[str] = option(
        None, "where the data sets are; nothing is downloaded", unset="as in training, else data"
    )
    batch_size: int = option(250, "images of a batch on each device", low=1, short="-b")
    num_gpus: Optional[int] = option(None, "GPUs to use; 0: the CPU", low=0, unset=ALL_GPUS)

    def __post_init__(self):
        super().__post_init__()
        resolve_output(self, "output")
