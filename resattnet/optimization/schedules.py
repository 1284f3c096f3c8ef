"""Compute learning-rate schedules: pure functions of the step, composed from GluonCV's schedulers."""

from __future__ import annotations

import importlib
import math
from typing import Any, Callable, Sequence

from ..machine.mxnet import mx
from ..machine.packages import importing_gluoncv
from ..run_options.options import RunOptions
from ..system.errors import InputError


def gluoncv_schedulers() -> Any:
    """Return GluonCV's module of schedulers."""
    with importing_gluoncv():
        return importlib.import_module("gluoncv.utils.lr_scheduler")


def learning_rate_schedule(
    kind: str,
    lr: float,
    steps: int,
    warmup_steps: int = 0,
    decay_steps: Sequence[int] = (),
    restarts: Sequence[int] = (),
    restart_factor: float = 1.0,
    min_lr: float = 0.0,
) -> Callable[[int], float]:
    """Return the learning rate as a function of the step: linear warm-up, then cosines or division by ten.

    Parameters
    ----------
    kind : {'cosine', 'step'}
    lr : float
        The highest learning rate.
    steps : int
        Steps of the whole run; the last one is the schedule's end.
    warmup_steps : int
        Steps of the warm-up. Its step k, counted from 0, has the learning rate lr (k + 1) / warmup_steps.
    decay_steps : sequence of int
        For 'step': the learning rate is divided by ten at each of these steps of the run.
    restarts : sequence of int
        For 'cosine': another cosine begins at each of these steps of the run, all of them after the warm-up (SGDR,
        arXiv 1608.03983).
    restart_factor : float
        Ratio of the highest learning rate of each cosine to that of the cosine before.
    min_lr : float
        For 'cosine': the learning rate of the last step of each cosine. 0: the last but one value of a cosine that is a
        step longer and ends at 0, so that no step has the learning rate 0.

    Returns
    -------
    gluoncv.utils.LRSequential
        Maps a step, counted from 0, to its learning rate.

    Raises
    ------
    InputError
        If the restarts do not rise, a restart is not between the warm-up and the end, or the schedule is not 'cosine';
        if a cosine would begin at `min_lr` or below.
    """
    schedulers = gluoncv_schedulers()
    LRScheduler, LRSequential = schedulers.LRScheduler, schedulers.LRSequential
    warmup_steps = min(warmup_steps, steps)
    begins, parts = [warmup_steps] + list(restarts) + [steps], []
    if restarts and (kind != "cosine" or not all(begin < end for begin, end in zip(begins, begins[1:]))):
        raise InputError(
            f"restarts at steps {list(restarts)}: give rising steps of a cosine schedule, after the warm-up of "
            f"{warmup_steps} steps and before step {steps}"
        )

    lowest = lr * restart_factor ** len(restarts)
    if min_lr and min_lr >= lowest:
        raise InputError(f"`min_lr={min_lr:g}`: the highest learning rate of a cosine is {lowest:g}; give a lower one")

    def cosine(highest: float, length: int) -> Any:
        if length == 1:
            return LRScheduler("constant", base_lr=highest, niters=1)
        end = min_lr or highest * (1 - math.cos(math.pi / length)) / 2
        return LRScheduler("cosine", base_lr=highest, target_lr=end, niters=length)

    if warmup_steps > 1:
        parts.append(LRScheduler("linear", base_lr=lr / warmup_steps, target_lr=lr, niters=warmup_steps))
    elif warmup_steps:
        parts.append(LRScheduler("constant", base_lr=lr, niters=1))
    rest = steps - warmup_steps
    if rest and kind == "step":
        parts.append(
            LRScheduler("step", base_lr=lr, niters=rest, step_iter=[step - warmup_steps for step in decay_steps])
        )
    elif rest:
        parts += [
            cosine(lr * restart_factor**cycle, end - begin)
            for cycle, (begin, end) in enumerate(zip(begins, begins[1:]))
        ]
    return LRSequential(parts)


def make_schedule(options: RunOptions, devices: int, epoch_steps: int) -> Callable[[int], float]:
    """Return the schedule that the options of a run describe.

    Where `max_steps` ends the run, the warm-up takes at most a quarter of its steps, and the default places of the step
    schedule's divisions are shares of its steps.

    Parameters
    ----------
    options : RunOptions
    devices : int
        Number of devices that share a batch.
    epoch_steps : int
        Steps of an epoch.
    """
    steps = options.steps(epoch_steps)
    warmup_steps, decay_steps = options.warmup * epoch_steps, [epoch * epoch_steps for epoch in options.decay_epochs]
    if steps < options.epochs * epoch_steps:
        warmup_steps = min(warmup_steps, steps // 4)
        if not options.lr_steps:
            decay_steps = sorted({steps * 2 // 5, steps * 3 // 5} - {0})
    return learning_rate_schedule(
        options.lr_schedule or "cosine",
        options.learning_rate(devices),
        steps,
        warmup_steps,
        decay_steps,
        [epoch * epoch_steps for epoch in options.lr_restarts or ()],
        options.lr_restart_factor,
        options.min_lr,
    )


class OptimizerSchedule(mx.lr_scheduler.LRScheduler):
    """Adapt a schedule to MXNet's optimizers, which count their updates from 1 where a schedule counts steps from 0."""

    def __init__(self, schedule: Callable[[int], float]) -> None:
        super().__init__()
        self._schedule = schedule

    def __call__(self, num_update: int) -> float:
        """Return the learning rate of an update, counted from 1."""
        return self._schedule(max(num_update - 1, 0))
