"""The table of rules between the options of a training run.

The check of `TrainingOptions` and the merge of a recipe or a resumed run (`resume.merge_options`) both walk it, from
top to bottom: a rule sees what the rules before it have changed.
"""

from __future__ import annotations

import math
from typing import Any, Mapping

from ..distributed.engines import COMPRESSIONS
from ..models.spec import NETWORK_OPTIONS
from ..options.groups import CHOSEN_GPUS, DEVICE_RULES, GPUS, SEVERAL_CPUS
from ..options.rules import BelongsTo, Conflict, Need, When, Within
from .class_weights import BALANCED
from .optimizer_options import ADAPTIVE, default_rate


def warmup_length(values: Mapping[str, Any]) -> int:
    """Return the epochs of warm-up: as given, else 5, or a quarter of a run of fewer than 20 epochs."""
    given = values["warmup_epochs"]
    return min(5, values["epochs"] // 4) if given is None else given


def highest_rate(values: Mapping[str, Any]) -> float:
    """Return the highest learning rate; infinity if it depends on the number of devices (`lr_per_256`)."""
    if values["lr_per_256"] is not None:
        return math.inf
    return default_rate(values) if values["lr"] is None else values["lr"]


DALI = When("loader", "dali")
NO_MASKS = When("mask", "none")
MASK_SETTINGS = (When("attention_learning"), When("attention"))
BFLOAT16 = When("dtype", "bfloat16")
SEVERAL_PROCESSES = When("kvstore")
ASYNC = When("kvstore", "dist_async")
ONE_DEVICE = (ASYNC, When("kvstore", "horovod"), When("kvstore", "byteps"))
CPUS = (When("num_gpus", 0), SEVERAL_CPUS)
COLOURS = (When("color_jitter"), When("hue"), When("lighting"), When("rand_augment"))
ADAPTIVE_OPTIMIZERS = tuple(When("optimizer", name) for name in ADAPTIVE)
MIXING = (When("mix_up"), When("cutmix"))

_NO_END = "the step schedule divides by ten, and has no lowest rate"
_NOT_MEASURED = "the speed of several processes is not measured"
_ONE_DEVICE = "its processes have one device each; start more processes"
_NO_FLOAT16 = "MXNet has no float16 matrix product on the CPU"
_NO_BFLOAT16 = "MXNet computes in bfloat16 on the CPU only"
_BETAS = "this optimizer has no momentum, and decays the mean of the gradient by `beta1`"
_ARRAY = "give `loader=array`"
_RECORDS = "DALI reads RecordIO files, which make-records writes"
_TRAINED = "the one starts from trained weights, the other sets some to zero"
_TWICE = "each makes all classes count the same, and both together make the rare classes count more"
_AFTER_WARMUP = "give epochs after the warm-up (`warmup_epochs={low}`)"
_BETWEEN = "give epochs after the warm-up (`warmup_epochs={above}`) and before the last ({below})"

# Options of the data sets that the catalog or records name
_NAMED_DATA_RULES = (
    Conflict(DALI, When("data_format", "bin"), reason=_RECORDS, advice="give `data_format=rec`"),
    Conflict(DALI, SEVERAL_PROCESSES, reason="DALI does not divide its images among processes", advice=_ARRAY),
    Conflict(When("label_noise"), DALI, reason="DALI reads the labels as they are"),
    Conflict(When("sampler"), DALI, reason="DALI draws the order itself"),
    Conflict(When("class_weights"), DALI, reason="DALI reads the labels itself, so nothing counts the classes"),
    Conflict(When("val_split"), DALI, reason="DALI reads whole files"),
    *(Conflict(setting, DALI, reason="DALI changes no colours") for setting in COLOURS),
)

_RUN_RULES = (
    # Network
    Conflict(When("params"), When("zero_gamma"), reason=_TRAINED),
    Conflict(NO_MASKS, *MASK_SETTINGS, reason="there is no mask to act on", advice="leave out `mask` or the rest"),
    Conflict(When("mask_images"), NO_MASKS, reason="there are no masks to show"),
    Need(When("mask_period"), When("mask_images")),
    # Devices and types
    Conflict(When("float16"), When("dtype")),
    Conflict(When("float16"), *CPUS, reason=_NO_FLOAT16, advice="leave `float16` out, or run on a GPU"),
    Conflict(SEVERAL_CPUS, *ONE_DEVICE, reason=_ONE_DEVICE, advice="leave `num_cpus` out"),
    Conflict(When("num_gpus", above=1, instead=1), *ONE_DEVICE, reason=_ONE_DEVICE, advice="give `num_gpus=1`"),
    Conflict(
        When("sync_bn"), SEVERAL_PROCESSES, reason="statistics are combined within a process", advice="leave one out"
    ),
    Conflict(When("sync_bn"), BFLOAT16, reason="the combined statistics are float32", advice="leave one out"),
    Conflict(When("float16"), ASYNC, reason="a small update of a float16 weight is lost", advice="leave `float16` out"),
    *(
        Need(When("compress_gradients", name), *(When("kvstore", store) for store in stores), words="needs")
        for name, stores in COMPRESSIONS.items()
    ),
    Need(When("compression_threshold"), When("compress_gradients", "2bit")),
    Conflict(When("time_limit"), SEVERAL_PROCESSES, reason=_NOT_MEASURED, advice="give `epochs`"),
    Conflict(
        When("lr_find"), SEVERAL_PROCESSES, reason="rates are tested in one process", advice="leave `kvstore` out"
    ),
    Conflict(BFLOAT16, GPUS, CHOSEN_GPUS, reason=_NO_BFLOAT16, advice="give `float16=True` instead, or `num_gpus=0`"),
    # Learning rate
    Conflict(When("lr"), When("lr_per_256")),
    Conflict(When("lr_steps"), When("lr_restarts"), reason="the step schedule has steps, the cosine has restarts"),
    Conflict(When("lr_steps"), When("lr_schedule", "cosine"), reason="the cosine schedule has no steps"),
    Conflict(When("lr_restarts"), When("lr_schedule", "step"), reason="the step schedule has no restarts"),
    Conflict(When("min_lr"), When("lr_steps"), reason=_NO_END),
    Conflict(When("min_lr"), When("lr_schedule", "step"), reason=_NO_END),
    Within("min_lr", below=highest_rate, reason="the highest learning rate is {below:g}; give a lower one"),
    Within("warmup_epochs", high="epochs", reason="the run has {high} epochs"),
    Within("lr_steps", low=warmup_length, reason=_AFTER_WARMUP),
    Within("lr_restarts", above=warmup_length, below="epochs", reason=_BETWEEN),
    Need(When("lr_restart_factor"), When("lr_restarts")),
    # Optimizer
    Conflict(When("momentum"), *ADAPTIVE_OPTIMIZERS, reason=_BETAS, advice="give `beta1`"),
    Need(When("beta1"), *ADAPTIVE_OPTIMIZERS),
    Need(When("beta2"), *ADAPTIVE_OPTIMIZERS),
    # Augmentation
    Within("mixup_off_epochs", below="epochs", reason="the run has {below} epochs, and none would be mixed"),
    Need(When("mixup_off_epochs"), *MIXING),
    Conflict(When("max_steps"), When("mixup_off_epochs"), reason="these are the last of all `epochs`"),
    Need(When("alpha"), *MIXING),
    Conflict(When("sampler", "balanced"), When("class_weights", BALANCED), reason=_TWICE),
    # Distillation
    Need(When("teacher_weight"), When("teacher")),
    Need(When("temperature"), When("teacher")),
    # Options that a change of the network makes useless
    BelongsTo("params", NETWORK_OPTIONS),
    Need(When("freeze"), When("params"), words="needs", reason="frozen random weights learn nothing"),
)

RUN_RULES = DEVICE_RULES + _RUN_RULES
TRAINING_RULES = DEVICE_RULES + _NAMED_DATA_RULES + _RUN_RULES
