"""Group the options of the length of a run and of its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Tuple

from ..options.fields import Options, assignment, option
from ..system.durations import parse_duration
from ..system.errors import InputError
from .optimizer_options import by_optimizer

_LOW_RATE = "a lower rate does not change float32 weights"
_HIGH_RATE = "a higher rate makes the weights infinite"


@dataclass(frozen=True)
class ScheduleOptions(Options):
    """The length of the run and its learning rate."""

    heading = "length and learning rate"

    epochs: int = option(
        200,
        "epochs of the run; the schedule ends with the last one",
        low=1,
        high=100_000,
        why_high="no schedule in the literature is longer than some thousands",
    )
    max_steps: Optional[int] = option(
        None,
        "end the run and its schedule after N updates, for trying things out; the epoch that they end in is validated "
        "and saved like a whole one, and the warm-up takes at most a quarter of the updates",
        low=1,
        metavar="N",
        unset="all updates of --epochs",
    )
    time_limit: Optional[str] = option(
        None,
        "end the run, with its whole schedule, within this time, for example 8h, 90m or 1h30m, counted from the start "
        "of the command: the speed is measured before the first step, and the run gets as many epochs as fit, at most "
        "--epochs; warm-up and other given epochs are scaled; a resumed run keeps the number of epochs",
        metavar="TIME",
    )
    patience: int = option(
        0,
        "end the run after N epochs without a new best epoch, which is one with a higher top-1 of validation than all "
        "before; with --ema, a new best of the moving average counts too; the learning rate follows the schedule of "
        "all --epochs until then; 0: train all epochs",
        low=0,
        high=100_000,
        why_high="no run has more epochs",
        metavar="N",
    )
    lr: Optional[float] = option(
        None,
        "highest learning rate",
        above=0,
        low=1e-10,
        high=1e4,
        why_low=_LOW_RATE,
        why_high=_HIGH_RATE,
        unset=by_optimizer("lr"),
    )
    min_lr: float = option(
        0.0,
        "learning rate at the end of the cosine; with --lr-restarts, of each cosine",
        low=0,
        high=1e4,
        least=1e-12,
        why_low=_LOW_RATE,
        why_high=_HIGH_RATE,
    )
    lr_per_256: Optional[float] = option(
        None,
        "instead of --lr: the learning rate for 256 images per update; the highest learning rate is RATE times the "
        "images per update / 256 (arXiv 1812.01187)",
        above=0,
        low=1e-10,
        high=1e4,
        why_low=_LOW_RATE,
        why_high=_HIGH_RATE,
        metavar="RATE",
    )
    head_lr_factor: float = option(
        1.0,
        "learning rate of the last layer relative to that of the others, for example 10 in fine-tuning",
        low=1e-3,
        high=1e3,
        why_low="a lower rate does not change the layer",
        why_high="a higher rate makes the layer's weights infinite",
        metavar="FACTOR",
    )
    lr_schedule: Optional[str] = option(
        None,
        "schedule after the warm-up; cosine: to --min-lr; step: divide by ten at each of --lr-steps",
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
        1.0,
        "with --lr-restarts: highest learning rate of each cosine relative to the one before",
        above=0,
        low=1e-6,
        high=1,
        why_low="a lower cosine does not change float32 weights",
        why_high="no cosine is higher than the one before",
    )
    warmup_epochs: Optional[int] = option(
        None, "epochs of linear warm-up from 0 to --lr", low=0, unset="5, or a quarter of a run below 20 epochs"
    )
    lr_find: bool = option(
        False,
        "1: train no network, but test learning rates: raise the rate at each of 100 steps until the loss diverges, "
        "suggest a --lr, and write a CSV and a plot into lr-find/ in --log-dir",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_limit is not None:
            try:
                parse_duration(self.time_limit)
            except ValueError as error:
                raise InputError(f"{assignment('time_limit', self.time_limit)}: {error}") from error

    @property
    def time_limit_seconds(self) -> float:
        """Seconds of the time limit; infinity without one."""
        return math.inf if self.time_limit is None else parse_duration(self.time_limit)
