"""Wire a training run, from its options to its last epoch: the part of the command `train` that needs MXNet."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from typing import Any, List, Optional, Sequence

import numpy as np

from ..data.image_set import DataFacts
from ..datasets.catalog import data_remarks
from ..models.parts import freeze
from ..models.spec import NetworkSpec
from ..models.units import zero_init_residual
from ..reports.mask_log import MaskLog
from ..runs import run_folders
from ..runs.logs import RunLog
from ..runs.progress import Progress
from ..runs.states import State
from ..system.devices import check_type, choose_devices
from ..system.errors import InputError, handle_remarks
from ..system.mxnet import mx
from ..system.signals import StopSignals
from ..training.checkpoints import Checkpointer
from ..training.class_weights import class_weights, describe_weights
from ..training.distillation import Teacher
from ..training.image_inputs import open_image_inputs
from ..training.image_options import ImageTrainingOptions
from ..training.initial_weights import InitialWeights
from ..training.inputs import Inputs, open_inputs
from ..training.loop import Run, fit
from ..training.options import RunOptions, TrainingOptions
from ..training.resume import options_from_state
from ..training.schedules import make_schedule
from ..training.step import array_type, make_net, make_step


def train(options: RunOptions, state: Optional[State] = None) -> Run:
    """Train a network as the options specify, from the start or from a state.

    SIGINT, SIGTERM and SIGHUP save the state and end the run; SIGUSR1 saves it. In a thread other than the main one,
    where Python handles no signals, the run is trained without this.

    Parameters
    ----------
    options : RunOptions
    state : State, optional
        The state to resume the run from, in its folder.

    Returns
    -------
    Run
        The finished run: `run.step.net` is trained, `run.progress` has the history and the best epoch, and
        `run.folder` names the folder of the parameters.

    Raises
    ------
    InputError
        If an option or a file is wrong, or the loss is not finite.
    Interrupted
        After SIGINT, SIGTERM or SIGHUP, once the state is saved.
    """
    devices, remarks = choose_devices(options.num_gpus, options.num_cpus, options.gpus)
    with handle_remarks(lambda remark: remarks.append(str(remark))):
        run = prepare_run(options, devices, state)
    with StopSignals() as signals, run.checkpointer.lock, RunLog(
        options.log_dir, run.name, dataclasses.asdict(options)
    ) as log:
        for line in [*remarks, *run.remarks]:
            log.line(f"note: {line}")
        with handle_remarks(lambda remark: log.line(f"note: {remark}")):
            fit(run, log, signals)
    return run


def prepare_run(options: RunOptions, devices: Sequence[Any], state: Optional[State] = None) -> Run:
    """Open the data, build the network, make the step, and return the run that `fit` trains.

    Parameters
    ----------
    options : RunOptions
    devices : sequence of mx.Context
        Each gets `options.batch_size` images of every batch.
    state : State, optional
        The state to resume the run from.
    """
    remarks = check_type("float16" if options.float16 else options.dtype, devices)
    start = InitialWeights(options.params, options.network) if options.params and not state else None
    _seed_generators(options.seed)
    inputs = _open_inputs(options, devices)
    remarks += data_remarks(*options.source)
    progress = _start_progress(options, state, len(inputs.train_loader), remarks)
    _check_data(state, inputs.facts)
    if progress.step > options.steps(len(inputs.train_loader)):
        raise InputError(f"`max_steps={options.max_steps}`: the run to resume has already done {progress.step}")
    progress.data = inputs.facts.to_dict()
    hooks = [MaskLog(options, inputs.validation_loader, inputs.facts)] if options.mask_images else []

    net = make_net(NetworkSpec(inputs.classes, **options.network), devices, array_type(options))
    if options.zero_gamma:
        zero_init_residual(net)
    if start:
        remarks.append(start.load_into(net, options.source.dataset, inputs.facts, devices))
        progress.started_from = start.sha256
    if options.freeze:
        remarks.append(freeze(net, options.freeze))
    schedule = make_schedule(options, len(devices), len(inputs.train_loader))
    if options.lr_per_256:
        rate = options.learning_rate(len(devices))
        remarks.append(f"--lr-per-256 {options.lr_per_256:g}: the highest learning rate is {rate:g}")
    teacher = _open_teacher(options, inputs.facts, devices, progress)
    weights = _weigh_classes(options, inputs, remarks)
    step = make_step(net, options, devices, schedule, inputs.transform.soft_labels, teacher, weights)

    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(_lock_folder(options, state))
        checkpointer = Checkpointer(lock, step, progress, options)
        if state:
            checkpointer.restore(state)
        stack.pop_all()  # the run keeps the lock
    return Run(options, inputs, progress, schedule, step, checkpointer, remarks, hooks)


def _open_inputs(options: RunOptions, devices: Sequence[Any]) -> Inputs:
    if isinstance(options, ImageTrainingOptions):
        return open_image_inputs(options, devices)
    assert isinstance(options, TrainingOptions)
    return open_inputs(options, devices)


def _check_data(state: Optional[State], facts: DataFacts) -> None:
    """Raise InputError if a run is resumed on another data set than it was trained on."""
    before = state.progress.get("data") if state else None
    differences = DataFacts.from_dict(before).differences(facts) if before else []
    if state and differences:
        raise InputError(
            f"{state.folder}: the data set is not the one that the run was trained on: it has "
            f"{'; '.join(differences)}; give it the old data set, or start a new run from its parameters by `params`"
        )


def _lock_folder(options: RunOptions, state: Optional[State]) -> run_folders.RunLock:
    """Return the lock of the folder of a new run, which is made, or of a run that is resumed."""
    if state:
        return run_folders.exclusive(state.folder)
    if options.name:
        return run_folders.make_run_folder(options.model_dir, options.name)
    return run_folders.make_unnamed_run_folder(options.model_dir, options.title)


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    mx.random.seed(seed)


def _start_progress(options: RunOptions, state: Optional[State], epoch_steps: int, remarks: List[str]) -> Progress:
    """Return the progress of a new run, or of a run that is resumed with these options; add remarks."""
    progress = Progress(**state.progress) if state else Progress()
    before_steps = progress.rescale_steps(epoch_steps)
    if before_steps:
        remarks.append(
            f"an epoch has {epoch_steps} steps in place of {before_steps}: the place in the epoch and in the schedule "
            "stays, and the steps are counted as if all epochs had had the new number"
        )
    if state:
        before = options_from_state(state.options)
        progress.record_changes(options.effective, before.effective)
        dropped = sorted(set(before.lr_restarts or ()) - set(options.lr_restarts or ()))
        if dropped:
            remarks.append(f"the planned restarts of the cosine after {','.join(map(str, dropped))} are left out")
    return progress


def _weigh_classes(options: RunOptions, inputs: Inputs, remarks: List[str]) -> Optional[np.ndarray]:
    """Return the weight of each class in the loss, None if all are 1; add a remark."""
    if options.class_weights is None:
        return None
    classes = inputs.facts.classes
    weights = class_weights(options.class_weights, classes, inputs.counts, options.sampler)
    remarks.append(describe_weights(weights, classes))
    return weights


def _open_teacher(
    options: RunOptions, facts: DataFacts, devices: Sequence[Any], progress: Progress
) -> Optional[Teacher]:
    if not options.teacher:
        return None
    teacher = Teacher(options.teacher, options.source.dataset, facts, devices, array_type(options))
    if progress.teacher not in (None, teacher.sha256):
        raise InputError(f"`teacher={options.teacher}`: this is not the teacher that the run started with")
    progress.teacher = teacher.sha256
    return teacher
