"""Choose the length of a run so that it ends within its time limit with its whole schedule.

The speed is measured before the first step, on a network of its own that is then dropped. The bits of the run therefore
depend on the chosen length only: they are those of a run that was given this length.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..distributed.statistics import average_statistics
from ..evaluation.network import evaluate
from ..machine.mxnet import mx
from ..optimization.schedules import make_schedule
from ..options.fields import assignment
from ..run_options.options import RunOptions
from ..run_options.resume import merge_options
from ..runs import states
from ..runs.progress import Progress
from ..system.durations import format_duration
from ..system.errors import InputError
from ..system.files import writing
from ..zoo import parameters
from .build import build_step
from .ending import Ending
from .inputs import Inputs
from .state_arrays import state_arrays
from .step import TrainingStep

RESERVE = 0.05  # fraction of the limit that is kept for steps that are slower later
SECONDS = 10.0  # that the measured steps take at most, but for the first few
SHARE = 0.02  # of the limit that they take at most
FEWEST, MOST = 3, 50  # steps that are measured
BATCHES = 4  # of validation that are measured


class Costs(NamedTuple):
    """What a run takes, in seconds.

    Attributes
    ----------
    once : float
        The set-up of the network in its first step and its first validation, and the test of the best parameters.
    step : float
        A step, with its share of the states that are saved within an epoch.
    between : float
        Validation and saving after an epoch.
    """

    once: float
    step: float
    between: float

    def total(self, steps: int, epochs: int) -> float:
        """Return the seconds of a run."""
        return self.once + steps * self.step + epochs * self.between


def choose_length(options: RunOptions, epoch_steps: int, costs: Costs, seconds: float) -> RunOptions:
    """Return the options of the longest run that ends in time: their own, or with fewer epochs.

    If no whole epoch fits, `max_steps` ends the run within the first.

    Parameters
    ----------
    options : RunOptions
    epoch_steps : int
        Steps of an epoch.
    costs : Costs
    seconds : float
        The time that is left.

    Raises
    ------
    InputError
        If not even one step fits.
    """
    planned = Ending(options, epoch_steps)
    if costs.total(planned.steps, planned.epochs) <= seconds:
        return options
    epochs = int((seconds - costs.once) // (epoch_steps * costs.step + costs.between))
    if epochs >= 1:
        return shorten(options, min(epochs, planned.epochs))
    steps = int((seconds - costs.once - costs.between) // costs.step)
    if steps < 1:
        least = costs.total(1, 1) - seconds
        raise InputError(
            f"{assignment('time_limit', options.time_limit)}: not even one step, with its validation, fits; give "
            f"at least {format_duration(least)} more"
        )
    return shorten(options, 1, min(steps, planned.steps))


def shorten(options: RunOptions, epochs: int, max_steps: Optional[int] = None) -> RunOptions:
    """Return options with fewer epochs, and with all that counts epochs scaled to them.

    These are the given warm-up, `lr_steps`, `lr_restarts` and `mixup_off_epochs`. A warm-up keeps one epoch at least.
    Places within the new warm-up are moved to its end; of places that coincide one is left, and none after the run.

    Parameters
    ----------
    options : RunOptions
    epochs : int
    max_steps : int, optional
        The end of the run within its epochs.
    """
    scale = epochs / options.epochs

    def scaled(places: Optional[Sequence[int]], low: int) -> Optional[Tuple[int, ...]]:
        rounded = {max(low, round(place * scale)) for place in places or ()}
        return tuple(sorted(place for place in rounded if place < epochs)) or None

    given: Dict[str, Any] = {"epochs": epochs, "mixup_off_epochs": round(options.mixup_off_epochs * scale)}
    if max_steps is not None:
        given["max_steps"] = max_steps
        given.pop("mixup_off_epochs")  # the two exclude each other
    if options.warmup_epochs:
        given["warmup_epochs"] = max(1, round(options.warmup_epochs * scale))
    warmup = merge_options(options, given).warmup
    given.update(lr_steps=scaled(options.lr_steps, max(1, warmup)), lr_restarts=scaled(options.lr_restarts, warmup + 1))
    return merge_options(options, given)


def fit_time_limit(options: RunOptions, inputs: Inputs, devices: Sequence[Any], began: float) -> Tuple[RunOptions, str]:
    """Measure the speed of a run, and return its options with the length that fits its time limit, and a remark.

    Random draws of MXNet are made: seed its generator again.

    Parameters
    ----------
    options : RunOptions
        With a `time_limit`.
    inputs : Inputs
    devices : sequence of mx.Context
    began : float
        When the time began, by `time.monotonic`.
    """
    costs = measure(options, inputs, devices)
    limit = options.time_limit_seconds
    left = (1 - RESERVE) * limit - (time.monotonic() - began)
    epoch_steps = len(inputs.train_loader)
    chosen = choose_length(options, epoch_steps, costs, left)
    ends = [Ending(each, epoch_steps) for each in (chosen, options)]
    taken = format_duration(costs.total(ends[0].steps, ends[0].epochs))
    if ends[0].steps == ends[1].steps:
        what = f"all {ends[1].epochs} epochs fit" if ends[1].epochs > 1 else "the one epoch fits"
    elif ends[0].steps < epoch_steps:
        what = f"no epoch fits; the run has {ends[0].steps} steps of the {epoch_steps} of one"
    else:
        what = f"{ends[0].epochs} of {ends[1].epochs} epochs fit"
    return chosen, (
        f"--time-limit {options.time_limit}: {what}, and take {taken} of the {format_duration(max(left, 0))} left: "
        f"{costs.step:.3g} s a step, {epoch_steps} steps an epoch, {costs.between:.3g} s for validation and saving"
    )


def measure(options: RunOptions, inputs: Inputs, devices: Sequence[Any]) -> Costs:
    """Measure what a run takes, on a network of its own."""
    schedule = make_schedule(options, len(devices), len(inputs.train_loader))
    step, _ = build_step(options, inputs, devices, schedule, Progress())
    first, each = _time_steps(step, inputs.train_loader, min(SECONDS, SHARE * options.time_limit_seconds))
    set_up, fixed, batch = _time_validation(step, inputs.validation_loader)
    state, files = _time_saving(step, options)
    copies = 2 if step.average else 1
    validation = copies * (fixed + batch * len(inputs.validation_loader))
    test = fixed + batch * len(inputs.test_loader) if inputs.test_loader else 0.0
    # Within an epoch, the state is saved every `save_minutes`, and after each step at most.
    each += state * (min(1.0, each / (60 * options.save_minutes)) if options.save_minutes else 1.0)
    return Costs(first + set_up + test, each, validation + state + 2 * copies * files)


def _time_steps(step: TrainingStep, loader: Any, seconds: float) -> Tuple[float, float]:
    """Return the seconds of the first step, which sets up the network, and of each of those after it."""
    batches = itertools.chain.from_iterable(loader.epoch(number) for number in itertools.count())
    begun = time.monotonic()
    step(*next(batches))
    mx.nd.waitall()
    first, begun, count = time.monotonic() - begun, time.monotonic(), 0
    while count < FEWEST or count < MOST and time.monotonic() - begun < seconds:
        step(*next(batches))
        count += 1
    mx.nd.waitall()
    return first, (time.monotonic() - begun) / count


def _time_validation(step: TrainingStep, loader: Any) -> Tuple[float, float, float]:
    """Return the seconds by which the first validation is longer, as it sets up its network; and those of a validation.

    The latter are those that do not depend on the number of batches, and those of each batch.
    """
    batches = list(itertools.islice(loader.epoch(0), 1 + BATCHES))
    taken = []
    for _ in range(2):
        begun = time.monotonic()
        average_statistics(step.net)
        net = step.copy_for_inference()
        evaluate(net, batches[:1], step.devices, step.dtype)
        taken.append(time.monotonic() - begun)
    first, fixed = taken
    batch = 0.0
    if batches[1:]:
        begun = time.monotonic()
        evaluate(net, batches[1:], step.devices, step.dtype)
        batch = (time.monotonic() - begun) / len(batches[1:])
    return max(0.0, first - fixed), fixed, batch


def _time_saving(step: TrainingStep, options: RunOptions) -> Tuple[float, float]:
    """Return the seconds that it takes to save a state, and a parameter file."""
    description: Mapping[str, Any] = {"network": step.net.spec.to_dict(), "dataset": options.source.dataset}
    with writing(assignment("model_dir", options.model_dir)):
        os.makedirs(options.model_dir, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.model_dir, prefix=".measured-") as folder:
            begun = time.monotonic()
            parameters.all_finite(step.net)
            arrays = state_arrays(step.net, step.trainer)
            if step.average:
                arrays.update(step.average.state_arrays())
            states.save_state(folder, arrays, {})
            state, begun = time.monotonic() - begun, time.monotonic()
            parameters.save_parameters(step.net, os.path.join(folder, "last.params"), description)
            return state, time.monotonic() - begun
