"""The options that a trained network is opened with, and those of a prediction."""

# mypy: disable-error-code="assignment"
# A redefined option may be None where the option of its group may not.

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Mapping, Optional

from ..data.geometry import Geometry
from ..datasets.options import FORMATS, DataOptions
from ..models.options import NetworkOptions
from ..options.fields import Options, assignment, option, redefine, resolve_output
from ..options.groups import GPU_RULES, GpuOptions
from ..runtimes.options import ENGINE_RULES, RuntimeOptions
from ..system.errors import InputError

PREDICTION_FORMATS = ("text", "csv", "json")

_DESCRIBED = "as described beside the parameters"
_FORMATS_BY_ENDING = {"": "text", "txt": "text", "csv": "csv", "json": "json"}


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
class ViewedModelOptions(ViewOptions, ModelFileOptions):
    """Options that identify a network, and say what it sees of an image file."""

    def check_source(self, source: Mapping[str, str]) -> None:
        """Raise InputError if an option does not go with the data set of a network. Those of this class go with any.

        Parameters
        ----------
        source : mapping of str to str
            Arguments of `catalog.load_images`: `name`, `data_dir` and `data_format`.
        """


@dataclass(frozen=True)
class ClassifierOptions(RuntimeOptions, GpuOptions, ViewedModelOptions):
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
