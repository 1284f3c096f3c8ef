"""Options of what reads a parameter file: testing and prediction."""

import os
from dataclasses import dataclass
from typing import Optional

from ..data.corruptions import CORRUPTIONS, parse_names
from ..data.datasets import FORMATS
from ..models.spec import ATTENTION, ATTENTION_LEARNING, CIFAR_WIDTHS, MASKS, attention_net_spec
from ..system.errors import InputError
from ..system.options import ALL_GPUS, Options, option, resolve_output

GRAPHS = ("plain", "fused", "int8")


PREDICTION_FORMATS = ("text", "csv", "json")


_DESCRIBED = "as described beside the parameters"


@dataclass(frozen=True)
class ModelFileOptions(Options):
    """What a parameter file is of: for the scripts that read one.

    Where the first seven are not given, they are read from the description beside the parameters; so is
    `data_dir`, as long as that folder exists.
    """

    dataset: Optional[str] = option(None, "the data set to test on", unset=_DESCRIBED)
    data_format: Optional[str] = option(
        None, "bin: the set's own binary files; rec: records", choices=FORMATS, unset=_DESCRIBED + ", else bin"
    )
    num_layers: Optional[int] = option(
        None, "depth of the network", choices=tuple(attention_net_spec), unset=_DESCRIBED
    )
    widths: Optional[str] = option(None, "widths of the network", choices=tuple(CIFAR_WIDTHS), unset=_DESCRIBED)
    attention_learning: Optional[str] = option(
        None, "attention learning of the network", choices=ATTENTION_LEARNING, unset=_DESCRIBED
    )
    attention: Optional[str] = option(
        None, "attention type of the network", choices=tuple(ATTENTION), unset=_DESCRIBED + ", else mixed"
    )
    mask: Optional[str] = option(None, "masks of the network", choices=MASKS, unset=_DESCRIBED + ", else hourglass")
    data_dir: Optional[str] = option(
        None, "where the data sets are, and are downloaded to", unset="as in training, else data"
    )
    classes: Optional[str] = option(
        None, "file with a name for each class, one a line", metavar="FILE", unset="as the data set names them"
    )


@dataclass(frozen=True)
class TestOptions(ModelFileOptions):
    """Arguments of a measurement; each is the flag of the same name of `scripts/cifar10_test.py`."""

    batch_size: int = option(250, "images of a batch on each device", low=1, short="-b")
    workers: int = option(0, "processes that make batches", low=0, short="-j")
    num_gpus: Optional[int] = option(None, "GPUs to use; 0: the CPU", low=0, unset=ALL_GPUS)
    num_cpus: int = option(
        1,
        "2 and more: on the CPU, as so many devices, each with batches of its own and its part "
        "of the cores, unless OMP_NUM_THREADS is set",
        low=1,
    )
    graph: str = option(
        "plain",
        "how the network is computed; fused: neighbouring layers in one, the same logits; "
        "int8: on whole numbers, nearly the same; these two on the CPU only",
        choices=GRAPHS,
    )
    flip: bool = option(False, "1 also measures the mean of the probabilities of each image and its mirror image")
    calibration_images: Optional[int] = option(
        None,
        "with --graph int8: training images to take the ranges of the layers from",
        low=1,
        unset="256, or all if there are fewer",
    )
    ensemble: bool = option(False, "with several files: 1 also measures the mean of their probabilities")
    format: str = option(
        "text", "text: tables; json: on stdout what --output writes as JSON, and nothing else", choices=("text", "json")
    )
    output: Optional[str] = option(
        None,
        "folder for evaluation.json and the figures; of several files for "
        "comparison.json and a folder of these for each",
    )
    hardest: Optional[int] = option(
        None, "with --output or --format json: how many test images of the highest loss", low=1, unset="24"
    )

    corruptions: str = option(
        "0",
        "1 also measures top-1 under corruptions of the images, each at five strengths, "
        "as in CIFAR-10-C; or some of them, as noise,blur: " + ", ".join(CORRUPTIONS),
        metavar="{0,1,NAMES}",
    )
    corruption_images: Optional[int] = option(
        None, "with --corruptions: only the first so many test images", low=1, unset="all"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.output is not None and os.path.exists(self.folder) and not os.path.isdir(self.folder):
            raise InputError(f"--output {self.output}: that is a file; give a folder")
        if self.hardest and self.output is None and self.format == "text":
            raise InputError(
                f"--hardest {self.hardest}: the images go to files or JSON; give --output or --format json"
            )
        if not self.corruption_names and self.corruption_images:
            raise InputError("--corruption-images goes with --corruptions")
        if self.corruption_names and self.ensemble:
            raise InputError(
                f"--ensemble 1 --corruptions {self.corruptions}: corruptions are measured of single files only; leave one "
                "out"
            )
        if self.graph != "plain" and self.num_gpus:
            raise InputError(f"--graph {self.graph}: it runs on the CPU; give --num-gpus 0 or leave it out")
        if self.num_gpus and self.num_cpus > 1:
            raise InputError(f"--num-gpus {self.num_gpus} --num-cpus {self.num_cpus}: give one of them")
        if self.graph != "plain" and self.num_cpus > 1:
            raise InputError(
                f"--graph {self.graph} --num-cpus {self.num_cpus}: it runs on one device; leave one of them out"
            )
        if self.calibration_images and self.graph != "int8":
            raise InputError("--calibration-images goes with --graph int8")

    @property
    def folder(self):
        """Where the output goes, None if it goes to no files."""
        return self.output and os.path.expanduser(self.output)

    @property
    def corruption_names(self):
        """Those that are asked for, keys of `CORRUPTIONS`."""
        return parse_names(self.corruptions)


_ENDINGS = {"": "text", "txt": "text", "csv": "csv", "json": "json"}  # of an output's name: its format


@dataclass(frozen=True)
class PredictionOptions(ModelFileOptions):
    """Arguments of a prediction; each is the flag of the same name of `scripts/predict.py`."""

    top: int = option(5, "how many classes of each image, the most probable first", low=1, short="-k")
    format: Optional[str] = option(
        None,
        "text: a line an image, in columns; csv; json",
        choices=PREDICTION_FORMATS,
        unset="what --output ends in, else text",
    )
    output: Optional[str] = option(None, "file for the predictions", unset="stdout")
    batch_size: int = option(64, "images of a batch on each device", low=1, short="-b")
    num_gpus: Optional[int] = option(None, "GPUs to use; 0: the CPU", low=0, unset=ALL_GPUS)

    def __post_init__(self):
        super().__post_init__()
        if self.output is not None:
            resolve_output(self, "output")
            if self.output_format is None:
                raise InputError(
                    f"--output {self.output}: no format ends so; give a name that ends in "
                    f"{', '.join('.' + e for e in _ENDINGS if e)}, or say with --format what it is "
                    "to hold"
                )

    @property
    def output_format(self):
        """One of `PREDICTION_FORMATS`: as given, else as the output's name ends; None if no format ends so."""
        ending = os.path.splitext(self.output or "")[1][1:].lower()
        return self.format or _ENDINGS.get(ending)
