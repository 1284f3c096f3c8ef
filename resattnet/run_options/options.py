"""The options of a training run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..datasets.catalog import DATASETS
from ..models.parts import expand_parts
from ..models.spec import NETWORK_OPTIONS
from ..options.fields import assignment, check_name
from ..options.spellings import VALUES
from ..system.errors import InputError
from ..zoo.descriptions import find_packaged
from .class_weights import BALANCED, parse_weights
from .device_options import TrainingDeviceOptions
from .optimizer_options import ADAPTIVE, OPTIMIZERS, OptimizerOptions, default_rate
from .option_groups import (
    AugmentationOptions,
    DistillationOptions,
    InitialWeightsOptions,
    OutputOptions,
    TrainingDataOptions,
)
from .option_rules import RUN_RULES, TRAINING_RULES, warmup_length
from .schedule_options import ScheduleOptions


class DataSource(NamedTuple):
    """Where the images of a run come from.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    data_dir : str
        Its folder, or the folder that it is in.
    data_format : str
        'bin', 'rec' or 'folder'.
    """

    dataset: str
    data_dir: str
    data_format: str


@dataclass(frozen=True)
class RunOptions(  # dataclasses takes the fields of the last base first: --help reads from the bottom up
    OutputOptions,
    TrainingDeviceOptions,
    DistillationOptions,
    AugmentationOptions,
    OptimizerOptions,
    ScheduleOptions,
    InitialWeightsOptions,
):
    """Options of a training run on any images: the base of the options of the commands that train.

    After construction, `dtype="float16"` is `float16=True`, `params="packaged"` is the name of the packaged parameters
    of the network, and `lr_schedule` is 'cosine' or 'step': None becomes 'step' if `lr_steps` is given, else 'cosine'.

    Attributes
    ----------
    command : str
        The command whose runs have these options. A subclass sets it without an annotation, as it does `rules`.

    Raises
    ------
    InputError
        If a value is out of range, or the values break one of the `rules`.
    """

    command: ClassVar[str]
    rules = RUN_RULES

    def __post_init__(self) -> None:
        for name, value in meant_options(vars(self)).items():
            object.__setattr__(self, name, value)
        for name in ("lr_steps", "lr_restarts"):
            object.__setattr__(self, name, _rising_epochs(name, getattr(self, name)))
        if self.lr_schedule is None:
            object.__setattr__(self, "lr_schedule", "step" if self.lr_steps else "cosine")
        for name in ("params", "teacher"):
            if getattr(self, name) == "":
                raise InputError(f"{assignment(name, '')}: give a file")
        if self.params is not None:
            object.__setattr__(self, "params", find_packaged(self.params, self.network))
        super().__post_init__()
        if self.class_weights is not None and self.class_weights != BALANCED:
            parse_weights(self.class_weights)
        if self.rand_augment is not None and len(self.rand_augment) != 2:
            raise InputError(
                f"{assignment('rand_augment', self.rand_augment)}: give the number of operations and their magnitude, "
                "for example 2,9"
            )
        check_name("name", self.name)

    # Derived values

    @property
    def source(self) -> DataSource:
        """Where the images come from."""
        raise NotImplementedError

    @property
    def described(self) -> Dict[str, Any]:
        """What a parameter file says of the images beside `source`."""
        return {}

    @property
    def title(self) -> str:
        """The name of the run without its time: `<data set>_attention<depth>_<options that are not the default>`."""
        labels = [
            (True, f"{self.source.dataset}_attention{self.num_layers}"),
            (self.widths != "full", self.widths),
            (self.unit != "bottleneck", self.unit),
            (self.attention_learning != "arl", self.attention_learning),
            (self.attention != "mixed", self.attention),
            (self.mask != "hourglass", f"mask-{self.mask}"),
            (self.rand_augment is not None, "randaugment"),
            (self.color_jitter > 0 or self.hue > 0 or self.lighting > 0, "colours"),
            (self.cutout > 0, "cutout"),
            (self.random_erasing > 0, "erasing"),
            (self.dtype != "float32", self.dtype),
            (self.mix_up, "mixup"),
            (self.cutmix, "cutmix"),
            (self.epsilon > 0, "smooth"),
            (self.class_weights is not None, "weighted"),
            (self.sampler != "shuffled", self.sampler),
            (self.label_noise > 0, f"noise{self.label_noise:g}"),
            (self.optimizer in ADAPTIVE, self.optimizer),
            (self.no_wd, "nowd"),
            (self.clip_gradient is not None, "clip"),
            (self.zero_gamma, "zerogamma"),
            (self.params is not None, "tuned"),
            (self.freeze is not None, "frozen"),
            (self.ema is not None, "ema"),
            (self.teacher is not None, "distilled"),
        ]
        return "_".join(label for is_shown, label in labels if is_shown)

    @property
    def network(self) -> Dict[str, Any]:
        """The fields of `NetworkSpec` that are options, by name; its `classes` are those of the data set."""
        return {name: getattr(self, name) for name in NETWORK_OPTIONS}

    @property
    def warmup(self) -> int:
        """Epochs of warm-up: as given, else 5, or a quarter of a run of fewer than 20 epochs."""
        return warmup_length(vars(self))

    def learning_rate(self, devices: int) -> float:
        """Return the highest learning rate on N devices: as given, else from `lr_per_256`, else the optimizer's."""
        if self.lr_per_256 is not None:
            return self.lr_per_256 * self.batch_size * devices * self.accumulate / 256
        return default_rate(vars(self)) if self.lr is None else self.lr

    @property
    def weight_decay(self) -> float:
        """The weight decay: as given, else the optimizer's."""
        return OPTIMIZERS[self.optimizer].wd if self.wd is None else self.wd

    @property
    def decay_epochs(self) -> Tuple[int, ...]:
        """Epochs at which the step schedule divides by ten: as given, else 40 % and 60 % of the run (section 4.1).

        In a short run, only the default epochs that come after the warm-up are used.
        """
        if self.lr_steps:
            return self.lr_steps
        shares = {self.epochs * 2 // 5, self.epochs * 3 // 5}
        return tuple(sorted(epoch for epoch in shares if epoch >= max(1, self.warmup)))

    def steps(self, epoch_steps: int) -> int:
        """Return the number of updates of the run, whose epochs have `epoch_steps` updates."""
        steps = self.epochs * epoch_steps
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def shows_masks(self, epoch: int) -> bool:
        """Return whether the masks are shown on TensorBoard after an epoch, counted from 1, of a run to its end."""
        period = self.mask_period or math.ceil(self.epochs / 9)
        return self.mask_images > 0 and (epoch in (1, self.epochs) or epoch % period == 0)

    @property
    def effective(self) -> Dict[str, Any]:
        """All options by name, as in a state. Defaults that depend on other options are replaced by their values."""
        return dict(
            dataclasses.asdict(self),
            warmup_epochs=self.warmup,
            lr=self.lr or (None if self.lr_per_256 else default_rate(vars(self))),
            wd=self.weight_decay,
            lr_steps=self.decay_epochs if self.lr_schedule == "step" else None,
        )


@dataclass(frozen=True)
class TrainingOptions(RunOptions, TrainingDataOptions):
    """Options of a run on a named data set; each is set by the flag of the same name of the command `train`."""

    command = "train"
    rules = TRAINING_RULES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data_format == "bin" and self.dataset not in DATASETS:
            raise InputError(
                f"{assignment('dataset', self.dataset)}: choose from {', '.join(DATASETS)}; your own records need "
                "`data_format=rec`"
            )
        check_name("dataset", self.dataset, "file")

    @property
    def source(self) -> DataSource:
        """Where the images come from."""
        return DataSource(self.dataset, self.data_dir, self.data_format)

    @property
    def described(self) -> Dict[str, Any]:
        """What a parameter file says of the images beside `source`."""
        return {"val_split": self.val_split} if self.val_split else {}  # the figures are of training images held out


def meant_options(given: Mapping[str, Any]) -> Dict[str, Any]:
    """Return options with those that stand for others replaced: `float16=True` for `dtype="float16"`.

    The parts of `freeze` are replaced by `expand_parts`.

    Call this before options are merged into older ones: the merge compares options one by one.
    """
    changed = dict(given)
    for (name, value), (meant, setting) in VALUES.items():
        if changed.get(name) == value:
            changed.update({name: RunOptions.defaults()[name], meant: setting})
    if changed.get("freeze") is not None:
        changed["freeze"] = expand_parts(changed["freeze"]) or None
    return changed


def _rising_epochs(name: str, epochs: Optional[Sequence[int]]) -> Optional[Tuple[int, ...]]:
    """Return the epochs of an option as a tuple, None if there are none; raise InputError if they do not rise."""
    if not epochs:
        return None
    if list(epochs) != sorted(set(epochs)) or min(epochs) < 1:
        raise InputError(f"{assignment(name, epochs)}: give epochs in increasing order, 1 or later")
    return tuple(epochs)
