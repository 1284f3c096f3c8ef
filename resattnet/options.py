"""The arguments of a training run, as data: names, defaults, meaning and limits stand here once."""
import dataclasses
import math
import os
from dataclasses import dataclass, field
from typing import Optional, Tuple

from .datasets import DATASETS, FORMATS, SIDE
from .errors import InputError
from .specs import ATTENTION_LEARNING, CIFAR_WIDTHS, GRAPHS, REPORTS, TARGETS, attention_net_spec


def option(default, text, choices=None, low=None, high=None, above=None, below=None, short=None):
    """A field of `TrainingOptions`, with all that its flag and its check need."""
    return field(default=default, metadata=dict(text=text, choices=choices, low=low, high=high, above=above,
                                                below=below, short=short))


def flag_name(name):
    """The flag of a field: `num_layers` is `--num-layers`."""
    return "--" + name.replace("_", "-")


def _check_number(flag, value, limits):
    if not math.isfinite(value):
        raise InputError("%s %s: give a finite number" % (flag, value))
    for key, holds, words in (("low", lambda bound: value >= bound, "at least"),
                              ("above", lambda bound: value > bound, "above"),
                              ("high", lambda bound: value <= bound, "at most"),
                              ("below", lambda bound: value < bound, "below")):
        if limits[key] is not None and not holds(limits[key]):
            raise InputError("%s %s: give a number %s %g" % (flag, value, words, limits[key]))


def _check_name(flag, name, what="folder"):
    if name is not None and (not name or "/" in name or name.startswith(".")):
        raise InputError("%s %r: give a plain %s name" % (flag, name, what))


class _Options:
    """The check that every options dataclass makes of its values, from its fields' own limits."""

    def __post_init__(self):
        for spec in dataclasses.fields(self):
            value, limits, flag = getattr(self, spec.name), spec.metadata, flag_name(spec.name)
            if limits["choices"] and value is not None and value not in limits["choices"]:
                raise InputError("%s %s: choose from %s" % (flag, value, ", ".join(map(str, limits["choices"]))))
            if isinstance(value, (int, float)):
                _check_number(flag, value, limits)


@dataclass(frozen=True)
class TrainingOptions(_Options):
    """Arguments of a run; each is the flag of the same name of `scripts/cifar10_train.py`.

    Raises
    ------
    InputError
        If a value is out of its range, or two do not go together; the message names the flag.
    """

    dataset: str = option("cifar10", "what to train on: digits (embedded), cifar10 or cifar100; with --data-format rec "
                          "also the name of your own records")
    data_dir: str = option("data", "where the data sets are, and are downloaded to")
    data_format: str = option("bin", "bin: the set's own binary files; rec: the records of scripts/make_records.py",
                              choices=FORMATS)
    loader: str = option("array", "array: read the set into memory and make the batches there; dali: NVIDIA DALI "
                         "makes them from records, on the GPUs of a run that has some", choices=("array", "dali"))
    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    widths: str = option("full", "full: the reference Gluon size; thin: about the paper's own CIFAR size, six times "
                         "smaller", choices=tuple(CIFAR_WIDTHS))
    attention_learning: str = option("arl", "arl: (1 + M) T; nal: M T", choices=ATTENTION_LEARNING)
    epochs: int = option(200, "epochs of the run; the schedule ends with the last", low=1)
    batch_size: int = option(64, "images of a batch on each device", low=1, short="-b")
    accumulate: int = option(1, "batches whose gradients are summed for one update: the result of a larger batch, "
                             "batch normalisation's statistics aside, on the memory of one", low=1)
    optimizer: str = option("nag", "nag: Nesterov momentum; sgd: plain momentum", choices=("nag", "sgd"))
    lr: float = option(0.1, "highest learning rate", above=0)
    momentum: float = option(0.9, "momentum of the optimizer", low=0, below=1)
    wd: float = option(1e-4, "weight decay", low=0)
    lr_schedule: str = option("cosine", "what follows the warm-up: cosine to 0, or a tenth at each of --lr-steps",
                              choices=("cosine", "step"))
    lr_steps: Optional[Tuple[int, ...]] = option(
        None, "epochs at which the step schedule divides by ten, as 80,120; default: 40 %% and 60 %% of --epochs")
    warmup_epochs: Optional[int] = option(
        None, "epochs of linear warm-up from 0 to --lr; default: 5, or a quarter of a short run", low=0)
    cutout: int = option(0, "side in pixels of the square erased from each training image, as 16; 0: none",
                         low=0, high=SIDE)
    mix_up: bool = option(False, "1 blends pairs of images and their labels (mixup)")
    alpha: float = option(1.0, "mixup's weight is drawn from Beta(alpha, alpha)", above=0)
    mixup_off_epochs: int = option(0, "the last so many epochs are trained without mixup", low=0)
    epsilon: float = option(0.0, "label smoothing: 1 - epsilon on the label, the rest shared by the others",
                            low=0, below=1)
    dtype: str = option("float32", "what the network computes in while it trains; bfloat16: with float32 weights, on "
                        "CPUs with AVX-512 only", choices=("float32", "bfloat16"))
    float16: bool = option(False, "1 computes in float16, with float32 master weights; GPU only")
    num_gpus: Optional[int] = option(None, "GPUs to use; default: all that MXNet can use, else the CPU; 0: the CPU",
                                     low=0)
    workers: int = option(0, "processes that make batches; 0 makes them in the training process; with --loader dali "
                          "its threads", low=0, short="-j")
    seed: int = option(0, "draws weights, order, crops and mixes; same seed, same run", low=0, high=2 ** 31 - 1)
    log_interval: int = option(50, "steps between two lines of the log", low=1)
    save_period: int = option(0, "keep the parameters of every so many epochs too; 0 keeps best and last only", low=0)
    save_minutes: float = option(10.0, "save the state also within an epoch, after so many minutes", above=0)
    log_dir: str = option("log", "folder of the logs: board/, text/ and csv/ of each run")
    model_dir: str = option("models", "folder of the parameters and states of each run")
    name: Optional[str] = option(None, "name of the run; default: data set, depth, what is special, and the time")

    def __post_init__(self):
        super().__post_init__()
        if self.data_format == "bin" and self.dataset not in DATASETS:
            raise InputError("--dataset %s: choose from %s; your own records need --data-format rec"
                             % (self.dataset, ", ".join(DATASETS)))
        _check_name("--dataset", self.dataset, "file")
        if self.loader == "dali" and self.data_format != "rec":
            raise InputError("--loader dali needs --data-format rec: records, which scripts/make_records.py makes")
        if self.float16 and self.dtype != "float32":
            raise InputError("--float16 1 --dtype %s: give one of them" % self.dtype)
        if self.lr_steps is not None:
            object.__setattr__(self, "lr_steps", tuple(self.lr_steps))
            if self.lr_schedule != "step":
                raise InputError("--lr-steps %s: the cosine schedule has no steps; add --lr-schedule step"
                                 % ",".join(map(str, self.lr_steps)))
            if list(self.lr_steps) != sorted(set(self.lr_steps)) or min(self.lr_steps, default=1) < 1:
                raise InputError("--lr-steps %s: give epochs from 1 on, in rising order"
                                 % ",".join(map(str, self.lr_steps)))
        if self.warmup_epochs is not None and self.warmup_epochs > self.epochs:
            raise InputError("--warmup-epochs %d: the run has %d epochs" % (self.warmup_epochs, self.epochs))
        _check_name("--name", self.name)

    @property
    def title(self):
        """What a run is, for its name: `<dataset>_attention<depth>_<what is special>`."""
        parts = ["%s_attention%d" % (self.dataset, self.num_layers)]
        parts += [self.widths] * (self.widths != "full")
        parts += [self.attention_learning] * (self.attention_learning != "arl")
        parts += ["cutout"] * (self.cutout > 0)
        parts += [self.dtype] * (self.dtype != "float32")
        parts += ["mixup"] * self.mix_up + ["smooth"] * (self.epsilon > 0)
        return "_".join(parts)

    @property
    def warmup(self):
        """Epochs of warm-up: as given, else 5, or a quarter of a run of less than 20 epochs."""
        return min(5, self.epochs // 4) if self.warmup_epochs is None else self.warmup_epochs

    @property
    def decay_epochs(self):
        """Epochs at which the step schedule divides by ten: as given, else 40 % and 60 % of the run (section 4.1)."""
        return self.lr_steps or (self.epochs * 2 // 5, self.epochs * 3 // 5)


@dataclass(frozen=True)
class TrainedOptions(_Options):
    """What a parameter file is of: for the scripts that read one.

    Where the first five are not given, they are read from the description beside the parameters; so is
    the sixth, as long as that folder exists.
    """

    dataset: Optional[str] = option(None, "the data set to test on")
    data_format: Optional[str] = option(None, "bin: the set's own binary files; rec: records", choices=FORMATS)
    num_layers: Optional[int] = option(None, "depth of the network", choices=tuple(attention_net_spec))
    widths: Optional[str] = option(None, "widths of the network", choices=tuple(CIFAR_WIDTHS))
    attention_learning: Optional[str] = option(None, "attention learning of the network", choices=ATTENTION_LEARNING)
    data_dir: Optional[str] = option(None, "where the data sets are, and are downloaded to; default: as in training, "
                                     "else data")


@dataclass(frozen=True)
class TestingOptions(TrainedOptions):
    """Arguments of a measurement; each is the flag of the same name of `scripts/cifar10_test.py`."""

    batch_size: int = option(250, "images of a batch on each device", low=1, short="-b")
    workers: int = option(0, "processes that make batches", low=0, short="-j")
    num_gpus: Optional[int] = option(None, "GPUs to use; default: all that MXNet can use, else the CPU", low=0)
    graph: str = option("plain", "how the network is computed; fused: neighbouring layers in one, the same logits; "
                        "int8: on whole numbers, nearly the same; these two on the CPU only", choices=GRAPHS)
    calibration_images: Optional[int] = option(None, "with --graph int8: training images to take the ranges of the "
                                               "layers from; default: 256, or all if there are fewer", low=1)

    def __post_init__(self):
        super().__post_init__()
        if self.graph != "plain" and self.num_gpus:
            raise InputError("--graph %s: it runs on the CPU; give --num-gpus 0 or leave it out" % self.graph)
        if self.calibration_images and self.graph != "int8":
            raise InputError("--calibration-images goes with --graph int8")


@dataclass(frozen=True)
class ExportOptions(TrainedOptions):
    """Arguments of an export; each is the flag of the same name of `scripts/export.py`."""

    to: str = option("onnx", "onnx: one file for ONNX runtimes, of one image size; symbol: Gluon's symbol.json and "
                     "params, of any; int8: the same of the network on whole numbers, for MXNet on CPUs",
                     choices=TARGETS)
    output: Optional[str] = option(None, "the .onnx file; of the others, what their two files begin with; default: "
                                   "as the parameters are called")
    image_size: Optional[int] = option(None, "with --to onnx: height and width of the images; default: as the test "
                                       "images are; if they are not here, 32, or 224 with ImageNet's stem", low=1)
    calibration_images: Optional[int] = option(None, "with --to int8: training images to take the ranges of the "
                                               "layers from; default: 256, or all if there are fewer", low=1)

    def __post_init__(self):
        super().__post_init__()
        if self.image_size and self.to != "onnx":
            raise InputError("--image-size goes with --to onnx: the others take images of any size")
        if self.calibration_images and self.to != "int8":
            raise InputError("--calibration-images goes with --to int8")
        if self.output is not None:
            folder, name = os.path.split(os.path.abspath(os.path.expanduser(self.output)))
            if not os.path.isdir(folder):
                raise InputError("--output %s: there is no folder %s" % (self.output, folder))
            if self.to == "onnx" and not name.endswith(".onnx"):
                raise InputError("--output %s: give a name that ends in .onnx" % self.output)


def _check_output(path):
    """See that an output can be put where `path` says."""
    target = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(target):
        raise InputError("--output %s: that is a folder; give the name of a file" % path)
    if not os.path.isdir(os.path.dirname(target)):
        raise InputError("--output %s: there is no folder %s" % (path, os.path.dirname(target)))


@dataclass(frozen=True)
class PredictionOptions(TrainedOptions):
    """Arguments of a prediction; each is the flag of the same name of `scripts/predict.py`."""

    top: int = option(5, "how many classes of each image, the most probable first", low=1, short="-k")
    format: Optional[str] = option(None, "text: a line an image, in columns; csv; json; default: what --output ends "
                                   "in, else text", choices=REPORTS)
    output: Optional[str] = option(None, "file for the predictions; default: stdout")
    batch_size: int = option(64, "images of a batch on each device", low=1, short="-b")
    num_gpus: Optional[int] = option(None, "GPUs to use; default: all that MXNet can use, else the CPU", low=0)

    def __post_init__(self):
        super().__post_init__()
        if self.output is not None:
            _check_output(self.output)

    @property
    def report(self):
        """One of `specs.REPORTS`: the format as given, else as the output's name ends."""
        ending = os.path.splitext(self.output or "")[1][1:].lower()
        return self.format or (ending if ending in REPORTS else "text")


@dataclass(frozen=True)
class MaskOptions(TrainedOptions):
    """Arguments of a sheet of soft masks; each is the flag of the same name of `scripts/show_masks.py`."""

    from_test: int = option(0, "also show the first so many test images of the data set", low=0)
    channels: Optional[Tuple[int, ...]] = option(None, "channels to show, a row for each, as 0,5,9; default: the mean "
                                                 "over all")
    grad_cam: bool = option(False, "1 also shows where the last stage's features speak for the predicted class "
                            "(Grad-CAM)")
    output: str = option("sheet.png", "file of the sheet: .png, .svg or .pdf")

    def __post_init__(self):
        super().__post_init__()
        if self.channels is not None and min(self.channels) < 0:
            raise InputError("--channels %s: they are counted from 0" % ",".join(map(str, self.channels)))
        _check_output(self.output)
        if os.path.splitext(self.output)[1].lower() not in (".png", ".svg", ".pdf"):
            raise InputError("--output %s: give a name that ends in .png, .svg or .pdf" % self.output)


@dataclass(frozen=True)
class RecordsOptions(_Options):
    """Arguments of a writing of records; each is the flag of the same name of `scripts/make_records.py`."""

    dataset: Optional[str] = option(None, "write the records of a known set", choices=tuple(DATASETS))
    images: Optional[str] = option(None, "write those of a folder: train/ and test/ (or val/) in it, and in these a "
                                   "folder of images for each class")
    name: Optional[str] = option(None, "with --images: what --dataset will call them; default: the folder's name")
    size: Optional[int] = option(None, "with --images: scale the shorter side to so many pixels and keep the middle "
                                 "square; default: as they are, all of one size", low=1)
    test_share: Optional[float] = option(None, "with --images: the folders in it are the classes, and this share of "
                                         "each, as 0.2, is drawn for testing", above=0, below=1)
    flip: Optional[bool] = option(None, "with --images: 1, the default: a mirrored image still shows its class, and "
                                  "training mirrors at random; 0: it does not")
    seed: int = option(0, "draws the test share and the order of the images", low=0, high=2 ** 31 - 1)
    data_dir: str = option("data", "where CIFAR's files are, or are downloaded to")
    output_dir: Optional[str] = option(None, "where the records go; default: --data-dir")
    overwrite: bool = option(False, "1 replaces records of that name")

    def __post_init__(self):
        super().__post_init__()
        if (self.dataset is None) == (self.images is None):
            raise InputError("give either --dataset or --images")
        for name in ("name", "size", "test_share", "flip"):
            if self.dataset and getattr(self, name) is not None:
                raise InputError("%s goes with --images, not with --dataset" % flag_name(name))
        _check_name("--name", self.title, "file")
        if self.images and self.title in DATASETS:
            raise InputError("--name %s: a known set is called so; give another name" % self.title)

    @property
    def title(self):
        """What the records are called."""
        return self.dataset or self.name or os.path.basename(os.path.abspath(self.images))

    @property
    def output(self):
        """The folder they go to."""
        return os.path.expanduser(self.output_dir or self.data_dir)


BENCHMARK_PARTS = ("train", "inference", "input", "epoch")


@dataclass(frozen=True)
class BenchmarkOptions(_Options):
    """Arguments of a measurement of speed; each is the flag of the same name of `scripts/benchmark.py`."""

    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    widths: str = option("full", "widths of the network", choices=tuple(CIFAR_WIDTHS))
    batch_size: int = option(64, "images of a batch", low=1, short="-b")
    steps: int = option(4, "steps of one turn; for `epoch` that many batches are the epoch", low=1)
    repeats: int = option(5, "turns of each contender, after two that are not counted", low=1)
    dataset: str = option("digits", "what `input` and `epoch` read", choices=tuple(DATASETS))
    data_dir: str = option("data", "where the data sets are, and are downloaded to")
    json: Optional[str] = option(None, "file for the figures and all their conditions")
    dtype: str = option("float32", "what `epoch`, --profile and --cost compute in; `train` has both",
                        choices=("float32", "bfloat16"))
    profile: bool = option(False, "1 also says which operators take the time of our training step")
    cost: Optional[str] = option(None, "measure instead what training costs by batch, depth and processes, --repeats "
                                 "steps each, and write it to COST.csv and COST.png; takes long")

    def __post_init__(self):
        super().__post_init__()
        for name in ("json", "cost"):
            path = getattr(self, name)
            if path and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
                raise InputError("--%s %s: there is no such folder" % (name, path))


# What a state's arrays and its place within an epoch depend on.
FIXED_BY_STATE = ("dataset", "num_layers", "widths", "attention_learning", "optimizer", "float16", "seed", "loader",
                  "name", "model_dir")
