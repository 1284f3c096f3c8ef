"""Measure a network on a data set that is divided among the processes of a run."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

import numpy as np

from ..distributed.group import Group
from ..evaluation.metrics import Evaluation
from ..evaluation.network import evaluate
from ..prediction.inference import logits_function
from ..prediction.logits import collect_logits
from ..runtimes.choice import check_packages
from ..runtimes.converted import ConvertedNetwork
from ..system.errors import InputError
from .step import TrainingStep


class Figures(NamedTuple):
    """Figures of validation over all processes.

    Attributes
    ----------
    loss, top1, top5 : float
    is_finite : bool
        Whether all outputs were finite.
    """

    loss: float
    top1: float
    top5: float
    is_finite: bool


def measure(
    net: Any,
    loader: Any,
    guard: Callable[[Iterable[Any]], Iterator[Any]],
    step: TrainingStep,
    watch: Callable[[], None],
    group: Group,
    runtime: str = "mxnet",
) -> Figures:
    """Return the figures of a network on all images of a loader, each image being in one process.

    Parameters
    ----------
    net : AttentionNet
        For inference, with the same parameters in all processes.
    loader : loader
    guard : callable
        Wraps the iterator of the batches.
    step : TrainingStep
        It says the devices and the type.
    watch : callable
        Called before each batch, in all processes together: a process with fewer batches calls it once more.
    group : Group
    runtime : str
        What computes: 'mxnet', or a key of `runtimes.engines.ENGINES`.
    """
    if not len(loader):  # more processes than batches
        sums = [0.0, 0.0, 0.0, 0.0, 0.0]
    else:
        result = _evaluate(net, guard(loader.epoch(0)), step, watch, runtime)
        count = result.samples
        if not np.isfinite(result.logits).all():  # there is no loss to compute
            sums = [0.0, 0.0, 0.0, count, 1.0]
        elif group.world.size == 1:
            return Figures(result.loss, result.top1, result.top5, True)
        else:
            sums = [result.loss * count, result.top1 * count, result.top5 * count, count, 0.0]
    for _ in range(loader.sampler.rounds - len(loader)):
        watch()
    loss, top1, top5, count, broken = group.total(sums)
    return Figures(loss / count, round(top1) / count, round(top5) / count, not broken)


def _evaluate(net: Any, batches: Iterator[Any], step: TrainingStep, watch: Callable[[], None], runtime: str) -> Any:
    if runtime == "mxnet":
        return evaluate(net, batches, step.devices, step.dtype, watch)
    converted = ConvertedNetwork(net, logits_function(net, step.devices), runtime)
    return Evaluation(*collect_logits(converted, batches, watch))


def check_runtime(runtime: str, devices: Sequence[Any]) -> None:
    """Raise InputError if validation cannot be computed by a runtime beside training on the devices."""
    if runtime == "mxnet":
        return
    if devices[0].device_type != "cpu":
        raise InputError(f"`validation_runtime={runtime}`: engines compute on the CPU: give `num_gpus=0` beside it")
    try:
        check_packages(runtime)
    except InputError as error:
        raise InputError(f"`validation_runtime={runtime}`: {error}") from error
