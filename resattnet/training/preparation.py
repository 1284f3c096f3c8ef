"""Prepare a training run: open its data, build its network, and lock its folder."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..data.facts import DataFacts
from ..datasets.catalog import data_remarks
from ..distributed.group import SOLO, Group
from ..distributed.same_start import check_same
from ..machine.devices import check_type
from ..machine.mxnet import mx
from ..optimization.schedules import make_schedule
from ..run_options.image_options import ImageTrainingOptions
from ..run_options.options import RunOptions, TrainingOptions
from ..run_options.resume import options_from_state
from ..runs import run_folders
from ..runs.progress import Progress
from ..runs.states import State
from ..system.errors import InputError
from ..system.world import ALONE, World
from .build import build_step
from .checkpoints import Checkpointer
from .figures import check_runtime
from .image_inputs import open_image_inputs
from .initial_weights import InitialWeights
from .inputs import Inputs, open_inputs
from .processes import common_facts, note_processes
from .run import Hook, Run
from .time_limit import fit_time_limit

HookMaker = Callable[[RunOptions, Sequence[Any], Inputs, Group], Sequence[Hook]]


def prepare_run(
    options: RunOptions,
    devices: Sequence[Any],
    state: Optional[State] = None,
    began: Optional[float] = None,
    group: Group = SOLO,
    make_hooks: HookMaker = lambda *_: (),
) -> Run:
    """Open the data, build the network, make the step, and return the run that `fit` trains.

    Parameters
    ----------
    options : RunOptions
    devices : sequence of mx.Context
        Each gets `options.batch_size` images of every batch.
    state : State, optional
        The state to resume the run from.
    began : float, optional
        As for `train`.
    group : Group
        The processes that train the run together.
    make_hooks : callable
        Returns the hooks of the run, before its folder is made, for its options, its devices, its data and the group.
    """
    remarks: List[str] = []
    inputs, start = begin_run(options, devices, remarks, group, is_new=state is None)
    check_same(group, common_facts(options, inputs, state, start, len(devices)))
    deadline = None
    if options.time_limit and not state:
        began = time.monotonic() if began is None else began
        deadline = began + options.time_limit_seconds
        options, inputs = _fit_time_limit(options, inputs, devices, began, remarks)
    remarks += data_remarks(*options.source)
    progress = _start_progress(options, state, len(inputs.train_loader), remarks)
    note_processes(progress, group, remarks)
    _check_data(state, inputs.facts)
    if progress.step > options.steps(len(inputs.train_loader)):
        raise InputError(f"`max_steps={options.max_steps}`: the run to resume has already done {progress.step}")
    progress.data = inputs.facts.to_dict()

    all_devices = len(devices) * group.world.size
    schedule = make_schedule(options, all_devices, len(inputs.train_loader))
    step, more = build_step(options, inputs, devices, schedule, progress, start, group)
    remarks += more
    if options.lr_per_256:
        remarks.append(
            f"--lr-per-256 {options.lr_per_256:g}: the highest learning rate is {options.learning_rate(all_devices):g}"
        )
    hooks = make_hooks(options, devices, inputs, group)

    with contextlib.ExitStack() as stack:
        lock = _lock_folder(options, state, group, stack)
        checkpointer = Checkpointer(lock, step, progress, options, group)
        if state:
            checkpointer.restore(state)
        else:
            group.broadcast_network(step.net)
        group.prepare(step.trainer)
        stack.pop_all()  # the run keeps the lock
    return Run(options, inputs, progress, schedule, step, checkpointer, remarks, hooks, deadline, group)


def _fit_time_limit(
    options: RunOptions, inputs: Inputs, devices: Sequence[Any], began: float, remarks: List[str]
) -> Tuple[RunOptions, Inputs]:
    """Return the options and the data of a new run whose length fits its time limit; add a remark."""
    chosen, remark = fit_time_limit(options, inputs, devices, began)
    remarks.append(remark)
    if chosen.mixup_off_epochs or options.mixup_off_epochs:  # the loaders know in which epochs images are mixed
        inputs = open_any_inputs(chosen, devices)
    _seed_generators(options.seed)
    return chosen, inputs


def begin_run(
    options: RunOptions,
    devices: Sequence[Any],
    remarks: List[str],
    group: Group = SOLO,
    is_new: bool = True,
) -> Tuple[Inputs, Optional[InitialWeights]]:
    """Check the type of numbers, seed the generators and open the data of a run; add remarks.

    Parameters
    ----------
    options : RunOptions
    devices : sequence of mx.Context
    remarks : list of str
        Those of the check are added.
    group : Group
        The processes that train the run together.
    is_new : bool
        Whether the run begins with `options.params`, where they are given; a resumed one has the weights of its state.

    Returns
    -------
    inputs : Inputs
    start : InitialWeights or None
    """
    remarks += check_type("float16" if options.float16 else options.dtype, devices)
    check_runtime(options.validation_runtime, devices)
    start = InitialWeights(options.params, options.network) if options.params and is_new else None
    _seed_generators(options.seed)
    return open_any_inputs(options, devices, group.world), start


def open_any_inputs(options: RunOptions, devices: Sequence[Any], world: World = ALONE) -> Inputs:
    """Open the data of a run on these devices, of a named data set or of a folder of images."""
    if isinstance(options, ImageTrainingOptions):
        return open_image_inputs(options, devices, world)
    assert isinstance(options, TrainingOptions)
    return open_inputs(options, devices, world)


def _check_data(state: Optional[State], facts: DataFacts) -> None:
    """Raise InputError if a run is resumed on another data set than it was trained on."""
    before = state.progress.get("data") if state else None
    differences = DataFacts.from_dict(before).differences(facts) if before else []
    if state and differences:
        raise InputError(
            f"{state.folder}: the data set is not the one that the run was trained on: it has "
            f"{'; '.join(differences)}; give it the old data set, or start a new run from its parameters by `params`"
        )


def _lock_folder(
    options: RunOptions, state: Optional[State], group: Group, stack: contextlib.ExitStack
) -> Union[run_folders.RunLock, str]:
    """Return the lock of the run's folder, or in a process that writes nothing the folder."""
    locks = []

    def lock() -> str:
        locks.append(stack.enter_context(_lock(options, state)))
        return locks[0].folder

    folder: str = group.on_first(lock)
    return locks[0] if locks else folder


def _lock(options: RunOptions, state: Optional[State]) -> run_folders.RunLock:
    """Return the lock of the folder of a new run, which is made, or of a run that is resumed."""
    if state:
        return run_folders.exclusive(state.folder)
    if options.name:
        return run_folders.make_run_folder(options.model_dir, options.name)
    return run_folders.make_unnamed_run_folder(options.model_dir, options.title)


def _seed_generators(seed: int) -> None:
    """Seed the generators of Python, NumPy and MXNet."""
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
