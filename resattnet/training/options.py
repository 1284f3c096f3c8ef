"""The arguments of a training run, as data: names, defaults, meaning and limits stand here once."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Optional, Tuple

from ..data.datasets import DATASETS, FORMATS, SIDE
from ..models.spec import ATTENTION, ATTENTION_LEARNING, CIFAR_WIDTHS, MASKS, NETWORK_OPTIONS, attention_net_spec
from ..system.errors import InputError
from ..system.options import ALL_GPUS, Options, check_name, flag_name, flag_value, option

LEARNING_RATE = 0.1  # unless something else is given


# An option of `TrainingOptions` that does nothing unless one of the others is on.
NEEDS = {
    "teacher_weight": ("teacher",),
    "temperature": ("teacher",),
    "alpha": ("mix_up", "cutmix"),
    "mixup_off_epochs": ("mix_up", "cutmix"),
    "mask_period": ("mask_images",),
    "lr_restart_factor": ("lr_restarts",),
}
# Two that exclude each other where neither is its default, and why, if it is not plain.
EXCLUSIVE = (
    ("lr", "lr_per_256", ""),
    ("float16", "dtype", ""),
    ("params", "zero_gamma", "the one starts from trained weights, the other zeroes some; "),
    ("label_noise", "loader", "DALI reads the labels as they are; "),
)


@dataclass(frozen=True)
class TrainingOptions(Options):
    """Arguments of a run; each is the flag of the same name of `scripts/cifar10_train.py`.

    Raises
    ------
    InputError
        If a value is out of its range, or two do not go together; the message names the flag.
    """

    dataset: str = option(
        "cifar10",
        "what to train on: digits (embedded), cifar10 or cifar100; with --data-format rec "
        "also the name of your own records",
    )
    data_dir: str = option("data", "where the data sets are, and are downloaded to")
    data_format: str = option(
        "bin", "bin: the set's own binary files; rec: the records of scripts/make_records.py", choices=FORMATS
    )
    loader: str = option(
        "array",
        "array: read the set into memory and make the batches there; dali: NVIDIA DALI "
        "makes them from records, on the GPUs of a run that has some",
        choices=("array", "dali"),
    )
    num_layers: int = option(56, "depth of the network", choices=tuple(attention_net_spec))
    widths: str = option(
        "full",
        "full: the reference Gluon size; thin: about the paper's own CIFAR size, five to six times smaller",
        choices=tuple(CIFAR_WIDTHS),
    )
    attention_learning: str = option("arl", "arl: (1 + M) T; nal: M T", choices=ATTENTION_LEARNING)
    attention: str = option(
        "mixed",
        "last step of a mask; mixed: the sigmoid; channel: over the L2 norm of the "
        "channels at each position; spatial: normalised over each channel's map, then the sigmoid",
        choices=tuple(ATTENTION),
    )
    mask: str = option(
        "hourglass",
        "hourglass: the mask goes down in size and up again; local: the same units, all at "
        "full size; none: no masks, only the trunk",
        choices=MASKS,
    )
    params: Optional[str] = option(
        None,
        "start from the parameters of a trained network of the same kind, a file or "
        "the name of some that come with the package (python -m resattnet lists them), "
        "not from random ones: fine-tuning; the last layer is initialised anew if they were "
        "trained on another data set",
        metavar="FILE",
    )
    epochs: int = option(200, "epochs of the run; the schedule ends with the last", low=1)
    batch_size: int = option(64, "images of a batch on each device", low=1, short="-b")
    accumulate: int = option(
        1,
        "batches whose gradients are summed for one update: the result of a larger batch, "
        "batch normalisation's statistics aside, on the memory of one",
        low=1,
    )
    optimizer: str = option("nag", "nag: Nesterov momentum; sgd: plain momentum", choices=("nag", "sgd"))
    lr: Optional[float] = option(None, "highest learning rate", above=0, unset=f"{LEARNING_RATE:g}")
    lr_per_256: Optional[float] = option(
        None,
        "in place of --lr: the learning rate for 256 images an update; the "
        "highest one is this times the images of an update / 256 (arXiv 1812.01187)",
        above=0,
        metavar="RATE",
    )
    momentum: float = option(0.9, "momentum of the optimizer", low=0, below=1)
    wd: float = option(1e-4, "weight decay", low=0)
    no_wd: bool = option(False, "1 exempts batch normalisation's gamma and beta, and biases, from weight decay")
    clip_gradient: Optional[float] = option(
        None,
        "scale the gradient down to this norm where its own is larger: the norm is of all parameters together, "
        "the gradient that of the mean loss over all images of the update, without weight decay",
        above=0,
        metavar="NORM",
    )
    zero_gamma: bool = option(
        False,
        "1 starts each residual unit as its shortcut (arXiv 1812.01187): what starts at 0 is the weight of its "
        "last convolution, which no batch normalisation follows here; a gamma of 0 before it would stop all gradients "
        "of the branch for good, at the ReLU between",
    )
    ema: Optional[float] = option(
        None,
        "keep an exponential moving average of the learned parameters, as 0.999: after update n it is moved to "
        "the new ones by 1 - DECAY, in the beginning by 9 / (n + 10) while that is more; measured beside them, with "
        "batch normalisation's running statistics as they are, not averaged, and saved as ema.params and "
        "best-ema.params",
        above=0,
        below=1,
        metavar="DECAY",
    )
    lr_schedule: str = option(
        "cosine", "what follows the warm-up: cosine to 0, or a tenth at each of --lr-steps", choices=("cosine", "step")
    )
    lr_steps: Optional[Tuple[int, ...]] = option(
        None, "epochs at which the step schedule divides by ten, as 80,120", unset="40 %% and 60 %% of --epochs"
    )
    lr_restarts: Optional[Tuple[int, ...]] = option(
        None,
        "epochs after which the cosine begins anew, as 30,90 (SGDR, arXiv 1608.03983); all of them, on --resume "
        "too: those that have passed count for --lr-restart-factor",
    )
    lr_restart_factor: float = option(
        1.0, "with --lr-restarts: the highest learning rate of each cosine over that of the one before", above=0, high=1
    )
    warmup_epochs: Optional[int] = option(
        None, "epochs of linear warm-up from 0 to --lr", low=0, unset="5, or a quarter of a short run"
    )
    cutout: int = option(
        0, "side in pixels of the square erased from each training image, as 16; 0: none", low=0, high=SIDE
    )
    mix_up: bool = option(False, "1 blends pairs of images and their labels (mixup)")
    cutmix: bool = option(
        False,
        "1 pastes a box of another image into each, and blends their labels by its area "
        "(CutMix, arXiv 1905.04899); with --mix-up 1 each batch has one of the two, by chance",
    )
    alpha: float = option(1.0, "the weight of mixup and CutMix is drawn from Beta(alpha, alpha)", above=0)
    mixup_off_epochs: int = option(0, "the last so many epochs are trained without mixup and CutMix", low=0)
    epsilon: float = option(
        0.0, "label smoothing: 1 - epsilon on the label, the rest shared by the others", low=0, below=1
    )
    label_noise: float = option(
        0.0,
        "share of the training labels replaced by one of the other classes, each as "
        "likely; once for the whole run (section 4.1 of the paper)",
        low=0,
        high=1,
    )
    teacher: Optional[str] = option(
        None,
        "parameters of a trained network, whose answers are learned beside the "
        "labels (distillation, arXiv 1503.02531); the .json beside them says what it is",
        metavar="FILE",
    )
    teacher_weight: float = option(
        0.5, "w of the loss (1 - w) * cross-entropy + w * T^2 * KL(teacher || student)", above=0, high=1
    )
    temperature: float = option(4.0, "T, by which the logits of both are divided in that KL", above=0)
    dtype: str = option(
        "float32",
        "what the network computes in while it trains; bfloat16: with float32 weights, on CPUs with AVX-512 only",
        choices=("float32", "bfloat16"),
    )
    float16: bool = option(False, "1 computes in float16, with float32 master weights; GPU only")
    num_gpus: Optional[int] = option(None, "GPUs to use; 0: the CPU", low=0, unset=ALL_GPUS)
    num_cpus: int = option(
        1,
        "2 and more: on the CPU, as so many devices; like GPUs, each gets --batch-size images of "
        "a batch; the script gives each its part of the cores, unless OMP_NUM_THREADS is set",
        low=1,
    )
    workers: int = option(
        0,
        "processes that make batches; 0 makes them in the training process; with --loader dali its threads",
        low=0,
        short="-j",
    )
    seed: int = option(0, "draws weights, order, crops and mixes; same seed, same run", low=0, high=2**31 - 1)
    log_interval: int = option(
        50, "steps between two lines of the log, counted in each epoch; a shorter epoch has one at its end", low=1
    )
    save_period: int = option(0, "keep the parameters of every so many epochs too; 0 keeps best and last only", low=0)
    save_minutes: float = option(10.0, "save the state also within an epoch, after so many minutes", above=0)
    log_dir: str = option("log", "folder of the logs: board/, text/ and csv/ of each run")
    model_dir: str = option("models", "folder of the parameters and states of each run")
    mask_images: int = option(
        0,
        "test images, one of each class first, whose masks are put on the board as the run "
        "goes on, a picture for each attention module; 0: none",
        low=0,
        high=32,
    )
    mask_period: Optional[int] = option(
        None,
        "with --mask-images: epochs from one picture to the next, the first and the last epoch having theirs in "
        "any case",
        low=1,
        unset="so many that the run has at most 10, all of which TensorBoard then keeps",
    )
    name: Optional[str] = option(None, "name of the run", unset="data set, depth, what is special, and the time")

    def __post_init__(self):
        super().__post_init__()
        if self.data_format == "bin" and self.dataset not in DATASETS:
            raise InputError(
                f"--dataset {self.dataset}: choose from {', '.join(DATASETS)}; your own records need --data-format rec"
            )
        check_name("--dataset", self.dataset, "file")
        if self.loader == "dali" and self.data_format != "rec":
            raise InputError("--loader dali needs --data-format rec: records, which scripts/make_records.py makes")
        if self.mask == "none" and (self._is_set("attention_learning") or self._is_set("attention")):
            raise InputError(
                f"--mask none: there is no mask for --attention-learning {self.attention_learning} --attention {self.attention} to act on; "
                "leave them out"
            )
        if self.mask == "none" and self.mask_images:
            raise InputError(
                f"--mask-images {self.mask_images}: with --mask none there are no masks to show; leave one of them out"
            )
        for name in ("params", "teacher"):
            if getattr(self, name) == "":
                raise InputError(f"{flag_name(name)} '': give a file")
        self._check_relations()
        if self.mixup_off_epochs >= self.epochs:
            raise InputError(
                f"--mixup-off-epochs {self.mixup_off_epochs}: the run has {self.epochs} epochs, and none would be mixed"
            )
        if self.num_gpus and self.num_cpus > 1:
            raise InputError(f"--num-gpus {self.num_gpus} --num-cpus {self.num_cpus}: give one of them")
        if self.warmup_epochs is not None and self.warmup_epochs > self.epochs:
            raise InputError(f"--warmup-epochs {self.warmup_epochs}: the run has {self.epochs} epochs")
        self._check_epochs("lr_steps", "step", "the cosine schedule has no steps")
        self._check_epochs("lr_restarts", "cosine", "the step schedule has no restarts")
        if self.lr_restarts and not self.warmup < self.lr_restarts[0] <= self.lr_restarts[-1] < self.epochs:
            raise InputError(
                f"--lr-restarts {','.join(map(str, self.lr_restarts))}: give epochs after the "
                f"warm-up (--warmup-epochs {self.warmup}) and before the last ({self.epochs})"
            )
        check_name("--name", self.name)

    def _is_set(self, name):
        return getattr(self, name) != getattr(TrainingOptions, name)

    def _as_given(self, name):
        return f"{flag_name(name)} {flag_value(getattr(self, name))}"

    def _check_relations(self):
        """Check `NEEDS` and `EXCLUSIVE`."""
        for name, others in NEEDS.items():
            if self._is_set(name) and not any(getattr(self, other) for other in others):
                raise InputError(
                    f"{self._as_given(name)} goes with "
                    f"{' or '.join(flag_name(other) + ' 1' * (getattr(TrainingOptions, other) is False) for other in others)}"
                )
        for one, other, reason in EXCLUSIVE:
            if self._is_set(one) and self._is_set(other):
                raise InputError(f"{self._as_given(one)} {self._as_given(other)}: {reason}give one of them")

    def _check_epochs(self, name, schedule, reason):
        """Check a list of epochs at which something happens to the learning rate, and keep it as a tuple."""
        epochs = getattr(self, name)
        if epochs is None:
            return
        object.__setattr__(self, name, tuple(epochs))
        given = f"{flag_name(name)} {','.join(map(str, epochs))}"
        if self.lr_schedule != schedule:
            raise InputError(f"{given}: {reason}; add --lr-schedule {schedule}")
        if list(epochs) != sorted(set(epochs)) or min(epochs, default=1) < 1:
            raise InputError(f"{given}: give epochs from 1 on, in rising order")
        if name == "lr_steps" and min(epochs, default=self.warmup) < self.warmup:
            raise InputError(f"{given}: give epochs after the warm-up (--warmup-epochs {self.warmup})")

    @property
    def title(self):
        """What a run is, for its name: `<dataset>_attention<depth>_<what is special>`."""
        parts = [f"{self.dataset}_attention{self.num_layers}"]
        parts += [self.widths] * (self.widths != "full")
        parts += [self.attention_learning] * (self.attention_learning != "arl")
        parts += [self.attention] * (self.attention != "mixed")
        parts += ["mask-" + self.mask] * (self.mask != "hourglass")
        parts += ["cutout"] * (self.cutout > 0)
        parts += [self.dtype] * (self.dtype != "float32")
        parts += ["mixup"] * self.mix_up + ["cutmix"] * self.cutmix + ["smooth"] * (self.epsilon > 0)
        parts += [f"noise{self.label_noise:g}"] * (self.label_noise > 0)
        parts += ["nowd"] * self.no_wd + ["clip"] * (self.clip_gradient is not None) + ["zerogamma"] * self.zero_gamma
        parts += ["tuned"] * (self.params is not None) + ["ema"] * (self.ema is not None)
        parts += ["distilled"] * (self.teacher is not None)
        return "_".join(parts)

    @property
    def network(self):
        """The arguments of `get_attention_cifar` that are options; its `classes` are the data set's."""
        return {name: getattr(self, name) for name in NETWORK_OPTIONS}

    @property
    def warmup(self):
        """Epochs of warm-up: as given, else 5, or a quarter of a run of less than 20 epochs."""
        return min(5, self.epochs // 4) if self.warmup_epochs is None else self.warmup_epochs

    def shows_masks(self, epoch):
        """Whether the board gets the masks after an epoch, counted from 1."""
        period = self.mask_period or math.ceil(self.epochs / 9)
        return self.mask_images > 0 and (epoch in (1, self.epochs) or epoch % period == 0)

    def learning_rate(self, devices):
        """The highest learning rate, on so many devices: as given, by `lr_per_256`, else 0.1."""
        if self.lr_per_256 is not None:
            return self.lr_per_256 * self.batch_size * devices * self.accumulate / 256
        return LEARNING_RATE if self.lr is None else self.lr

    @property
    def decay_epochs(self):
        """Epochs at which the step schedule divides by ten: as given, else 40 % and 60 % of the run (section 4.1).

        Of a short run, those of the two that come after the warm-up.
        """
        if self.lr_steps:
            return self.lr_steps
        return tuple(
            sorted({epoch for epoch in (self.epochs * 2 // 5, self.epochs * 3 // 5) if epoch >= max(1, self.warmup)})
        )

    @property
    def effective(self):
        """All options by name, as in a state, with what the defaults that depend on others come to."""
        return dict(
            dataclasses.asdict(self),
            warmup_epochs=self.warmup,
            lr=self.lr or (None if self.lr_per_256 else LEARNING_RATE),
            lr_steps=self.decay_epochs if self.lr_schedule == "step" else None,
        )
