"""Run a training, from its options to its last epoch: the part of the command `train` that needs MXNet."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any, List, Optional, Sequence

from ..distributed.engines import open_group
from ..distributed.group import Group
from ..machine.cores import separate_scratch
from ..machine.devices import choose_devices
from ..reports.mask_log import MaskLog
from ..run_options.options import RunOptions
from ..runs.logs import RunLog
from ..runs.silent_log import SilentLog
from ..runs.states import State
from ..system.errors import InputError, handle_remarks
from ..system.signals import StopSignals
from ..training.inputs import Inputs
from ..training.loop import Run, fit
from ..training.preparation import open_any_inputs, prepare_run
from ..training.processes import own_gpus


def train(options: RunOptions, state: Optional[State] = None, began: Optional[float] = None) -> Run:
    """Train a network as the options specify, from the start or from a state.

    SIGINT, SIGTERM and SIGHUP save the state and end the run; SIGUSR1 saves it. In a thread other than the main one,
    where Python handles no signals, the run is trained without this.

    Parameters
    ----------
    options : RunOptions
    state : State, optional
        The state to resume the run from, in its folder.
    began : float, optional
        When the time of `time_limit` began, by `time.monotonic`. Default: now.

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
    if options.lr_find:
        raise InputError("`lr_find=True`: this tests learning rates; call `rate_test.find_learning_rate` for it")
    began = time.monotonic() if began is None else began
    if options.sync_bn:
        separate_scratch()
    with open_group(options.exchange) as group:
        devices, remarks = choose_devices(options.num_gpus, options.num_cpus, own_gpus(options, group))
        with handle_remarks(lambda remark: remarks.append(str(remark))):
            run = prepare_run(options, devices, state, began, group, _make_hooks)
        lock = run.checkpointer.lock or contextlib.nullcontext()
        with StopSignals() as signals, lock, _open_log(run) as log:
            if group.is_first:
                for line in [*remarks, *run.remarks]:
                    log.line(f"note: {line}")
            with handle_remarks(lambda remark: log.line(f"note: {remark}")):
                fit(run, log, signals)
    return run


def _open_log(run: Run) -> RunLog:
    if not run.group.is_first:
        return SilentLog()
    return RunLog(run.options.log_dir, run.name, dataclasses.asdict(run.options))


def _make_hooks(options: RunOptions, devices: Sequence[Any], inputs: Inputs, group: Group) -> List[MaskLog]:
    if not options.mask_images or not group.is_first:
        return []
    if group.world.size > 1:  # the pictures are chosen among all images, not only among those of this process
        inputs = open_any_inputs(options, devices)
    return [MaskLog(options, inputs.validation_loader, inputs.facts)]
