"""Group the options that only a training run has by what they set. Each group is a heading in `--help`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from ..datasets.catalog import SIDE
from ..datasets.options import DataOptions
from ..models.options import NetworkOptions
from ..models.parts import FEATURES, PARTS
from ..options.fields import Options, option
from ..runs.options import RunFolderOptions

_NO_EFFECT = "a smaller one has no effect in float32"


@dataclass(frozen=True)
class TrainingDataOptions(DataOptions):
    """The data set, and how it is read."""

    loader: str = option(
        "array",
        "array: read the data set into memory and make the batches there; dali: NVIDIA DALI makes them from RecordIO "
        "files, on the GPUs if the run uses GPUs",
        choices=("array", "dali"),
    )
    val_split: float = option(
        0.0,
        "hold out this fraction of the training images of each class, for example 0.1, and validate on them: the best "
        "parameters are chosen without the test images, which are then measured once, at the end; 0: validate on the "
        "test images",
        low=0,
        below=1,
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
    freeze: Optional[Tuple[str, ...]] = option(
        None,
        "with --params: parts that are not trained, for example stem,stage1: their parameters and running statistics "
        f"stay as they are; the parts are {', '.join(PARTS)}; {FEATURES} stands for all of them, so that only the last "
        "layer is trained",
        choices=(*PARTS, FEATURES),
        metavar="PARTS",
    )
    zero_gamma: bool = option(
        False,
        "1: start each residual unit as its shortcut (arXiv 1812.01187); zero is the gamma at the end of the branch, "
        "or, in units that have none there (bottleneck, basic), the weight of the last convolution; a gamma of 0 "
        "before it would stop all gradients of the branch for good, at the ReLU between them",
    )


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """Changes of the training images and their labels."""

    heading = "augmentation and labels"

    cutout: int = option(
        0, "side in pixels of the square erased from each training image, for example 16; 0: none", low=0, high=SIDE
    )
    random_erasing: float = option(
        0.0,
        "probability that a training image loses a box of random area and proportions (arXiv 1708.04896)",
        low=0,
        high=1,
    )
    color_jitter: float = option(
        0.0,
        "change brightness, contrast and saturation of training images, each by a factor of up to 1 - and + this",
        low=0,
        high=1,
        why_high="a larger factor makes negative colours",
    )
    hue: float = option(0.0, "turn the colours of training images by up to this part of half a circle", low=0, high=1)
    lighting: float = option(
        0.0,
        "add the principal components of ImageNet's colours to training images, with weights of this standard "
        "deviation, for example 0.1",
        low=0,
        high=10,
        why_high="all pixels would be black or white",
    )
    rand_augment: Optional[Tuple[int, ...]] = option(
        None,
        "RandAugment (arXiv 1909.13719): number of operations on each training image, and their magnitude of 10, for "
        "example 2,9",
        low=0,
        high=10,
        unset="none",
    )
    mix_up: bool = option(False, "1: blend pairs of images and their labels (mixup)")
    cutmix: bool = option(
        False,
        "1: paste a box of another image into each image, and blend the labels by its area (CutMix, arXiv "
        "1905.04899); with --mix-up 1 each batch has one of the two, at random",
    )
    alpha: float = option(
        1.0,
        "the weight of mixup and CutMix is drawn from Beta(alpha, alpha)",
        above=0,
        low=0.01,
        high=1000,
        why_low="below, the weight is always 0 or 1, and its draw may not end",
        why_high="above, the weight is always 1/2",
    )
    mixup_off_epochs: int = option(0, "train the last N epochs without mixup and CutMix", low=0)
    epsilon: float = option(
        0.0,
        "label smoothing: 1 - epsilon for the label, the rest shared by the other classes",
        low=0,
        below=1,
        least=1e-6,
        why_low=_NO_EFFECT,
    )
    sampler: str = option(
        "shuffled",
        "training images of an epoch; shuffled: each once; balanced: as many from each class, where images of rare "
        "classes are repeated and some of frequent classes are left out at random",
        choices=("shuffled", "balanced"),
    )
    class_weights: Optional[str] = option(
        None,
        "weights of the classes in the training loss; balanced: in inverse proportion to the numbers of training "
        "images; or a number for each class, as 1,2,0.5, or for some, as cat=2,dog=1; they are scaled to a mean of 1 "
        "over the images of an epoch",
        metavar="WEIGHTS",
    )
    label_noise: float = option(
        0.0,
        "fraction of the training labels that are replaced by another class, each class being equally likely; drawn "
        "once for the whole run (section 4.1 of the paper)",
        low=0,
        high=1,
        least=1e-6,
        why_low="of a million labels, none would be wrong",
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
        0.5,
        "w of the loss (1 - w) * cross-entropy + w * T^2 * KL(teacher || student)",
        above=0,
        low=1e-6,
        high=1,
        why_low="a smaller weight has no effect in float32",
    )
    temperature: float = option(
        4.0,
        "T, which divides the logits of both networks in that KL",
        above=0,
        low=0.01,
        high=1000,
        why_low="below, the teacher's outputs are plain labels",
        why_high="above, the teacher's outputs are equal for all classes",
    )


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
    save_minutes: float = option(
        10.0,
        "minutes after which the state is also saved within an epoch; 0: after each step",
        low=0,
        high=1e6,
        why_high="1e6 minutes are two years",
    )
    mask_images: int = option(
        0,
        "number of test images whose masks are shown on TensorBoard during training, one picture for each attention "
        "module; the first images are of different classes; 0: none",
        low=0,
        high=32,
        why_high="more images make a picture that no browser shows",
    )
    mask_period: Optional[int] = option(
        None,
        "with --mask-images: epochs between two pictures; the first and the last epoch have one in any case",
        low=1,
        unset="at most 10 pictures per run, as many as TensorBoard keeps",
    )
