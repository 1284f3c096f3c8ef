"""Save a run's state and parameters, and restore them: `Checkpointer`."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from ..models import parameters
from ..runs import states
from ..runs.progress import Progress
from ..runs.run_folders import RunLock
from ..system.devices import wait_for_running_statistics
from ..system.mxnet import mx
from .options import TrainingOptions
from .step import TrainingStep


class Checkpointer:
    """Save a run into its folder: the state to resume from, the parameters of its epochs and the best parameters.

    Parameters
    ----------
    lock : RunLock
        The lock of the run's folder.
    step : TrainingStep
    progress : Progress
        Saved with the state. `best` and `best_ema` are set once their parameters are on the disk.
    options : TrainingOptions

    Attributes
    ----------
    lock : RunLock
    saved_step : int or None
        Step of the last state that was saved; None before the first.
    saved_at : float
        Time of the last attempt, by `time.monotonic`.
    failure : OSError or None
        Why the last attempt failed.
    """

    def __init__(self, lock: RunLock, step: TrainingStep, progress: Progress, options: TrainingOptions) -> None:
        self.lock = lock
        self.saved_step: Optional[int] = None
        self.saved_at = time.monotonic()
        self.failure: Optional[OSError] = None
        self._step, self._progress, self._options = step, progress, options

    @property
    def folder(self) -> str:
        """The run's folder."""
        return self.lock.folder

    def restore(self, state: states.State) -> None:
        """Put the arrays of a state into network, optimizer and moving average."""
        restore_arrays(state.arrays, self._step.net, self._step.trainer, self._progress.step)
        if self._step.average:
            self._step.average.restore(state.arrays)
        self.saved_step = self._progress.step

    def save(self, row: Optional[Mapping[str, Any]] = None) -> None:
        """Write the state and, after an epoch (`row` holds its figures), first the parameters.

        A full disk does not end the run: `failure` says what happened, and the next call tries again. If the parameters
        of a best epoch cannot be written, they are lost. The best epoch is then the best one whose parameters are kept.

        Raises
        ------
        InputError
            If the folder was removed or replaced: nothing is written then.
        """
        self.saved_at = time.monotonic()
        try:
            self.lock.check()
            if row:
                self._save_parameters(row)
            arrays = state_arrays(self._step.net, self._step.trainer)
            if self._step.average:
                arrays.update(self._step.average.state_arrays())
            progress = dict(dataclasses.asdict(self._progress), options=dataclasses.asdict(self._options))
            states.save_state(self.folder, arrays, progress)
            self.saved_step, self.failure = self._progress.step, None
        except OSError as error:
            self.failure = error

    def resume_hint(self) -> str:
        """Return which state is on the disk and how to resume it, as the end of a message."""
        if self.saved_step is None:
            return f"no state of the run could be saved ({self.failure})"
        failed = f"a later one could not be saved ({self.failure}); " if self.failure else ""
        return f"{failed}the last good state is of step {self.saved_step}; resume it with: --resume {self.folder}"

    def _save_parameters(self, row: Mapping[str, Any]) -> None:
        period, names = self._options.save_period, ["last"]
        if period > 0 and row["epoch"] % period == 0:
            names.append(f"epoch-{row['epoch']:04d}")
        self._save_net(self._step.net, names, "best", row, "validation_")
        if self._step.average:
            averaged = self._step.copy_for_inference(averaged=True)
            self._save_net(averaged, ["ema"], "best_ema", row, "validation_ema_", ema=self._options.ema)

    def _save_net(self, net: Any, names: list, best: str, row: Mapping[str, Any], prefix: str, **more: Any) -> None:
        description = dict(
            more,
            network=net.spec.to_dict(),
            run=os.path.basename(os.path.abspath(self.folder)),
            epoch=row["epoch"],
            dataset=self._options.dataset,
            data_format=self._options.data_format,
            data_dir=self._options.data_dir,
        )
        description.update(("validation_" + name, row[prefix + name]) for name in ("top1", "top5", "loss"))
        if self._progress.started_from:
            description["started_from"] = self._progress.started_from
        if self._progress.data:
            description["data"] = self._progress.data
        is_best = self._progress.surpasses(best, row)
        if is_best:
            names = [*names, best.replace("_", "-")]
        for name in names:
            parameters.save_parameters(net, os.path.join(self.folder, name + ".params"), description)
        if is_best:
            self._progress.set_best(best, row)


def state_arrays(net: Any, trainer: Any) -> Dict[str, np.ndarray]:
    """Return parameters, running statistics of each device and optimizer state as NumPy arrays by name."""
    wait_for_running_statistics()
    arrays = {}
    for name, parameter in net._collect_params_with_prefix().items():
        trained = parameter.grad_req != "null"
        for device, data in enumerate(parameter.list_data()[:1] if trained else parameter.list_data()):
            arrays[f"parameter/{name}/{device}"] = data.asnumpy()
        # The updaters of all devices hold the same values: each device applies the same summed gradients.
        state = trainer._updaters[0].states.get(trainer._param2idx[parameter.name]) if trained else None
        arrays.update((f"optimizer/{name}/{number}", part.asnumpy()) for number, part in _parts(state))
    return arrays


def _parts(state: Any) -> Iterator[Tuple[int, Any]]:
    """Yield the arrays of an optimizer's state with their places: momentum 0, master weights 1; each may be absent."""
    for number, part in enumerate(state if isinstance(state, (tuple, list)) else [state]):
        if part is not None:
            yield number, part


def restore_arrays(arrays: Mapping[str, np.ndarray], net: Any, trainer: Any, step: int) -> None:
    """Put the arrays of `state_arrays` back, onto any number of devices, and set the optimizer to `step` updates."""
    for name, parameter in net._collect_params_with_prefix().items():
        copies: List[np.ndarray] = []
        while f"parameter/{name}/{len(copies)}" in arrays:
            copies.append(arrays[f"parameter/{name}/{len(copies)}"])
        targets = parameter.list_data()
        if len(copies) not in (1, len(targets)):
            copies = [np.mean(copies, axis=0)]
        for device, target in enumerate(targets):
            target[:] = mx.nd.array(copies[device % len(copies)], ctx=target.context, dtype=target.dtype)
        saved = {
            number: arrays[f"optimizer/{name}/{number}"] for number in (0, 1) if f"optimizer/{name}/{number}" in arrays
        }
        if not saved:  # a running statistic, or a state from before the first step
            continue
        index = trainer._param2idx[parameter.name]
        for updater, target in zip(trainer._updaters, targets):
            updater.states[index] = trainer._optimizer.create_state_multi_precision(index, target)
            updater.states_synced[index] = True
            for number, part in _parts(updater.states[index]):
                if number in saved:  # a momentum that the state does not have begins at zero
                    part[:] = mx.nd.array(saved[number], ctx=part.context, dtype=part.dtype)
    trainer._optimizer.begin_num_update = trainer._optimizer.num_update = step
