"""The arguments of the other scripts, as data: what `options` is for training."""

import os
from dataclasses import dataclass
from typing import Optional, Tuple

from ..data.corruptions import CORRUPTIONS, parse_names
from ..data.datasets import DATASETS, FORMATS
from ..models.spec import ATTENTION_LEARNING, ATTENTION_TYPES, CIFAR_WIDTHS, MASKS, attention_net_spec
from ..system.errors import InputError
from ..training.options import ALL_GPUS, Options, check_name, flag_name, option

GRAPHS = ("plain", "fused", "int8")
EXPORT_FORMATS = ("onnx", "symbol", "int8", "float16")
PREDICTION_FORMATS = ("text", "csv", "json")
BENCHMARK_PARTS = ("train", "inference", "input", "epoch")
_DESCRIBED = "as described beside the parameters"
_OWN = "of a run that goes on its own, else "


def _resolve_output(options, name, a_folder_is_none=True):
    """See that a file can be put where an option says, or files whose names begin so, and have ~ be the home there."""
    given = getattr(options, name)
    path = os.path.expanduser(given)
    folder = os.path.dirname(os.path.abspath(path))
    if a_folder_is_none and os.path.isdir(path):
        raise InputError(f"{flag_name(name)} {given}: that is a folder; give the name of a file")
    if not os.path.isdir(folder):
        raise InputError(f"{flag_name(name)} {given}: there is no folder {folder}")
    object.__setattr__(options, name, path)


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
        None, "attention type of the network", choices=ATTENTION_TYPES, unset=_DESCRIBED + ", else mixed"
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


@dataclass(frozen=True)
class ExportOptions(ModelFileOptions):
    """Arguments of an export; each is the flag of the same name of `scripts/export.py`."""

    to: str = option(
        "onnx",
        "onnx: one file for ONNX runtimes, of one image size; symbol: Gluon's symbol.json and "
        "params, of any; int8: the same of the network on whole numbers, for MXNet on CPUs; float16: "
        "the same .params and .json at half the size",
        choices=EXPORT_FORMATS,
    )
    output: Optional[str] = option(
        None, "the .onnx file; of the others, what their two files begin with", unset="as the parameters are called"
    )
    image_size: Optional[int] = option(
        None,
        "with --to onnx: height and width of the images",
        low=1,
        unset="as the test images are; if they are not here, 32, or 224 with ImageNet's stem",
    )
    calibration_images: Optional[int] = option(
        None,
        "with --to int8: training images to take the ranges of the layers from",
        low=1,
        unset="256, or all if there are fewer",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.image_size and self.to != "onnx":
            raise InputError("--image-size goes with --to onnx: the others take images of any size")
        if self.classes and self.to != "onnx":
            raise InputError("--classes goes with --to onnx: the others hold no names of classes")
        if self.calibration_images and self.to != "int8":
            raise InputError("--calibration-images goes with --to int8")
        if self.output is not None:
            _resolve_output(self, "output", a_folder_is_none=self.to == "onnx")
            if self.to == "onnx" and not self.output.endswith(".onnx"):
                raise InputError(f"--output {self.output}: give a name that ends in .onnx")


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
            _resolve_output(self, "output")
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
        _resolve_output(self, "output")
        if os.path.splitext(self.output)[1].lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"--output {self.output}: give a name that ends in .png, .svg or .pdf")


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
        _resolve_output(self, "output")


@dataclass(frozen=True)
class BenchmarkOptions(Options):
    """Arguments of a measurement of speed; each is the flag of the same name of `scripts/benchmark.py`."""

    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    widths: str = option("full", "widths of the network", choices=tuple(CIFAR_WIDTHS))
    batch_size: int = option(64, "images of a batch", low=1, short="-b")
    steps: int = option(4, "steps of one turn; for `epoch` that many batches are the epoch", low=1)
    repeats: int = option(5, "turns of each contender, after two that are not counted", low=1)
    dataset: str = option("digits", "what `input` and `epoch` read", choices=tuple(DATASETS))
    data_dir: str = option("data", "where the data sets are, and are downloaded to")
    json: Optional[str] = option(None, "file for the figures and all their conditions")
    dtype: str = option(
        "float32", "what `epoch`, --profile and --cost compute in; `train` has both", choices=("float32", "bfloat16")
    )
    profile: bool = option(False, "1 also says which operators take the time of our training step")
    cost: Optional[str] = option(
        None,
        "measure instead what training costs by batch, depth and processes, --repeats "
        "steps each, and write it to COST.csv and COST.png; takes long",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.json is not None:
            _resolve_output(self, "json")
        if self.cost is not None:
            _resolve_output(self, "cost", a_folder_is_none=False)
            if self.json is not None or self.profile:
                raise InputError(
                    f"--cost {self.cost}: it measures instead of what --json and --profile 1 are of; leave these out"
                )


@dataclass(frozen=True)
class ReproductionOptions(Options):
    """Arguments of runs of recipes; each is the flag of the same name of `scripts/reproduce.py`."""

    print: Optional[str] = option(None, "print the full command of the recipe of this name")
    write: bool = option(False, "1 runs nothing: it enters what the ended runs of the recipes named gave")
    readme: bool = option(False, "1 makes the table of the recipes in README.md anew")
    keep: Optional[str] = option(
        None, "folder for the log of each run that has ended, NAME.csv, and its curve, NAME.png", metavar="DIR"
    )
    note: Optional[str] = option(
        None, "what else is to be known of the runs, as of their data; entered with their conditions"
    )
    recipes: Optional[str] = option(None, "file of the recipes", unset="data/recipes.csv")
    data_dir: Optional[str] = option(None, "where the data sets are, and are downloaded to", unset=_OWN + "data")
    log_dir: Optional[str] = option(None, "folder of the logs", unset=_OWN + "log")
    model_dir: str = option("models", "folder of the parameters and states")


@dataclass(frozen=True)
class SummaryOptions(Options):
    """Arguments of `python -m resattnet summary`."""

    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    stem: str = option("cifar", "cifar: for small images; imagenet: for large ones", choices=("cifar", "imagenet"))
    widths: str = option("full", "widths of the network", choices=tuple(CIFAR_WIDTHS))
    attention_learning: str = option("arl", "attention learning of the network", choices=ATTENTION_LEARNING)
    attention: str = option("mixed", "attention type of the network", choices=ATTENTION_TYPES)
    mask: str = option("hourglass", "masks of the network", choices=MASKS)
    classes: Optional[int] = option(None, "number of classes", low=1, unset="10, or 1000 with --stem imagenet")
    image_size: Optional[int] = option(
        None, "height and width of the images", low=1, unset="32, or 224 with --stem imagenet"
    )

    @property
    def side(self):
        """Height and width of the images."""
        return self.image_size or (32 if self.stem == "cifar" else 224)
