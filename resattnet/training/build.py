"""Build the training step of a run from its options and its data: network, initial weights, teacher."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from ..distributed.group import SOLO, Group
from ..models.parts import freeze
from ..models.spec import NetworkSpec
from ..models.units import zero_init_residual
from ..optimization.distillation import Teacher
from ..run_options.class_weights import class_weights, describe_weights
from ..run_options.options import RunOptions
from ..runs.progress import Progress
from ..system.errors import InputError
from .initial_weights import InitialWeights
from .inputs import Inputs
from .step import TrainingStep, array_type, make_net, make_step


def build_step(
    options: RunOptions,
    inputs: Inputs,
    devices: Sequence[Any],
    schedule: Callable[[int], float],
    progress: Progress,
    start: Optional[InitialWeights] = None,
    group: Group = SOLO,
) -> Tuple[TrainingStep, List[str]]:
    """Return the training step of a run, and remarks for its log.

    Parameters
    ----------
    options : RunOptions
    inputs : Inputs
    devices : sequence of mx.Context
    schedule : callable
        Learning rate at a step, counted from 0.
    progress : Progress
        The digests of the initial weights and of the teacher are noted in it; that of the teacher is compared, if it is
        there.
    start : InitialWeights, optional
        Weights to start from. Default: random ones.
    group : Group
        The processes that train together.

    Raises
    ------
    InputError
        If the initial weights or the teacher do not fit.
    """
    remarks = []
    net = make_net(NetworkSpec(inputs.classes, **options.network), devices, array_type(options))
    if options.sync_bn and len(devices) == 1:
        remarks.append("--sync-bn has no effect on one device")
    if options.zero_gamma:
        zero_init_residual(net)
    if start:
        remarks.append(start.load_into(net, options.source.dataset, inputs.facts, devices))
        progress.started_from = start.sha256
    if options.freeze:
        remarks.append(freeze(net, options.freeze))
    teacher = _open_teacher(options, inputs, devices, progress)
    weights = _weigh_classes(options, inputs, remarks)
    soft_labels = inputs.transform.soft_labels
    return make_step(net, options, devices, schedule, soft_labels, teacher, weights, group), remarks


def _weigh_classes(options: RunOptions, inputs: Inputs, remarks: List[str]) -> Optional[np.ndarray]:
    """Return the weight of each class in the loss, None if all are 1; add a remark."""
    if options.class_weights is None or inputs.counts is None:
        return None
    classes = inputs.facts.classes
    weights = class_weights(options.class_weights, classes, inputs.counts, options.sampler)
    remarks.append(describe_weights(weights, classes))
    return weights


def _open_teacher(options: RunOptions, inputs: Inputs, devices: Sequence[Any], progress: Progress) -> Optional[Teacher]:
    if not options.teacher:
        return None
    teacher = Teacher(options.teacher, options.source.dataset, inputs.facts, devices, array_type(options))
    if progress.teacher not in (None, teacher.sha256):
        raise InputError(f"`teacher={options.teacher}`: this is not the teacher that the run started with")
    progress.teacher = teacher.sha256
    return teacher
