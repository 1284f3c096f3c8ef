"""Group the options that only a training run has by what they set. Each group is a heading in `--help`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from ..data.datasets import SIDE
from ..data.options import DataOptions
from ..models.options import NetworkOptions
from ..options.fields import Options, option, redefine
from ..options.groups import DeviceOptions
from ..runs.options import RunFolderOptions

LEARNING_RATE = 0.1  # the highest learning rate, if none is given


@dataclass(frozen=True)
class TrainingDataOptions(DataOptions):
    """The data set, and how it is read."""

    loader: str = option(
        "array",
        "array: read the data set into memory and make the batches there; dali: NVIDIA DALI makes them from RecordIO "
        "files, on the GPUs if the run uses GPUs",
        choices=("array", "dali"),
    )


@dataclass(frozen=True)
class InitialWeightsOptions(NetworkOptions):
    """The network and its initial weights."""

    params: Optional[str] = option(
        None,
        "fine-tuning: start from the parameters of a trained network of the same kind, not from random ones; a file, "
        "or the name of parameters in the package, which python -m resattnet lists; the last layer is initialised at "
        "random if the parameters were trained on another data set",
        metavar="FILE",
    )
    zero_gamma: bool = option(
        False,
        "1: start each residual unit as its shortcut (arXiv 1812.01187); zero is the weight of the unit's last "
        "convolution, which no batch normalisation follows here; a gamma of 0 before it would stop all gradients of "
        "the branch for good, at the ReLU between them",
    )


@dataclass(frozen=True)
class OptimizerOptions(Options):
    """The update of the parameters."""

    heading = "optimizer"

    optimizer: str = option("nag", "nag: Nesterov momentum; sgd: plain momentum", choices=("nag", "sgd"))
    momentum: float = option(0.9, "momentum of the optimizer", low=0, below=1)
    wd: float = option(1e-4, "weight decay", low=0)
    no_wd: bool = option(False, "1: no weight decay for gamma and beta of batch normalisation, and for biases")
    clip_gradient: Optional[float] = option(
        None,
        "scale the gradient down to this norm if its own norm is larger; the norm is that of all parameters together, "
        "and the gradient that of the mean loss over all images of the update, without weight decay",
        above=0,
        metavar="NORM",
    )
    accumulate: int = option(
        1,
        "batches whose gradients are summed for one update: the result of a larger batch, apart from the statistics of "
        "batch normalisation, with the memory of one",
        low=1,
    )
    ema: Optional[float] = option(
        None,
        "keep an exponential moving average of the learned parameters, for example with 0.999; update n moves it "
        "towards the new parameters by 1 - DECAY, or by 9 / (n + 10) while that is more; the average is validated too, "
        "with the running statistics of batch normalisation, which are not averaged, and saved as ema.params and "
        "best-ema.params",
        above=0,
        below=1,
        metavar="DECAY",
    )


@dataclass(frozen=True)
class ScheduleOptions(Options):
    """The length of the run and its learning rate."""

    heading = "length and learning rate"

    epochs: int = option(200, "epochs of the run; the schedule ends with the last one", low=1)
    lr: Optional[float] = option(None, "highest learning rate", above=0, unset=f"{LEARNING_RATE:g}")
    lr_per_256: Optional[float] = option(
        None,
        "instead of --lr: the learning rate for 256 images per update; the highest learning rate is RATE times the "
        "images per update / 256 (arXiv 1812.01187)",
        above=0,
        metavar="RATE",
    )
    lr_schedule: Optional[str] = option(
        None,
        "schedule after the warm-up; cosine: to 0; step: divide by ten at each of --lr-steps",
        choices=("cosine", "step"),
        unset="cosine, or step with --lr-steps",
    )
    lr_steps: Optional[Tuple[int, ...]] = option(
        None,
        "epochs at which the step schedule divides the learning rate by ten, for example 80,120",
        unset="40 % and 60 % of --epochs",
    )
    lr_restarts: Optional[Tuple[int, ...]] = option(
        None,
        "epochs after which the cosine starts again, for example 30,90 (SGDR, arXiv 1608.03983); with --resume, name "
        "the past ones too: --lr-restart-factor counts them",
    )
    lr_restart_factor: float = option(
        1.0, "with --lr-restarts: highest learning rate of each cosine relative to the one before", above=0, high=1
    )
    warmup_epochs: Optional[int] = option(
        None, "epochs of linear warm-up from 0 to --lr", low=0, unset="5, or a quarter of a run below 20 epochs"
    )


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """Changes of the training images and their labels."""

    heading = "augmentation and labels"

    cutout: int = option(
        0, "side in pixels of the square erased from each training image, for example 16; 0: none", low=0, high=SIDE
    )
    mix_up: bool = option(False, "1: blend pairs of images and their labels (mixup)")
    cutmix: bool = option(
        False,
        "1: paste a box of another image into each image, and blend the labels by its area (CutMix, arXiv "
        "1905.04899); with --mix-up 1 each batch has one of the two, at random",
    )
    alpha: float = option(1.0, "the weight of mixup and CutMix is drawn from Beta(alpha, alpha)", above=0)
    mixup_off_epochs: int = option(0, "train the last N epochs without mixup and CutMix", low=0)
    epsilon: float = option(
        0.0, "label smoothing: 1 - epsilon for the label, the rest shared by the other classes", low=0, below=1
    )
    label_noise: float = option(
        0.0,
        "fraction of the training labels that are replaced by another class, each class being equally likely; drawn "
        "once for the whole run (section 4.1 of the paper)",
        low=0,
        high=1,
    )


@dataclass(frozen=True)
class DistillationOptions(Options):
    """A trained network to learn from."""

    heading = "distillation"

    teacher: Optional[str] = option(
        None,
        "parameters of a trained network whose outputs are learned beside the labels (distillation, arXiv "
        "1503.02531); the .json beside the file specifies the network",
        metavar="FILE",
    )
    teacher_weight: float = option(
        0.5, "w of the loss (1 - w) * cross-entropy + w * T^2 * KL(teacher || student)", above=0, high=1
    )
    temperature: float = option(4.0, "T, which divides the logits of both networks in that KL", above=0)


@dataclass(frozen=True)
class TrainingDeviceOptions(DeviceOptions):
    """Devices, batches and the type to compute in."""

    workers: int = redefine(
        DeviceOptions,
        "workers",
        0,
        help="processes that make batches; 0: the training process makes them; with --loader dali: threads of DALI",
    )
    dtype: str = option(
        "float32",
        "type that the network computes in during training; bfloat16: with float32 weights, only on CPUs with AVX-512",
        choices=("float32", "bfloat16"),
    )
    float16: bool = option(False, "1: compute in float16, with float32 master weights; only on GPUs")


@dataclass(frozen=True)
class OutputOptions(RunFolderOptions):
    """The name of the run, its random draws, and what it writes."""

    name: Optional[str] = option(
        None, "name of the run", unset="data set, depth, options that are not the default, and the time"
    )
    seed: int = option(
        0,
        "seed of the random draws: weights, order, crops and mixes; the same seed gives the same run",
        low=0,
        high=2**31 - 1,
    )
    log_interval: int = option(
        50,
        "steps between two lines of the log, counted in each epoch; a shorter epoch has one line at its end; where "
        "steps are slow, the first line comes earlier",
        low=1,
    )
    save_period: int = option(
        0, "keep the parameters of every Nth epoch too; 0: keep only the best and the last ones", low=0
    )
    save_minutes: float = option(10.0, "minutes after which the state is also saved within an epoch", above=0)
    mask_images: int = option(
        0,
        "number of test images whose masks are shown on TensorBoard during training, one picture for each attention "
        "module; the first images are of different classes; 0: none",
        low=0,
        high=32,
    )
    mask_period: Optional[int] = option(
        None,
        "with --mask-images: epochs between two pictures; the first and the last epoch have one in any case",
        low=1,
        unset="at most 10 pictures per run, as many as TensorBoard keeps",
    )
