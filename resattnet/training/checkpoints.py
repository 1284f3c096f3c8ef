"""Save a run's state and parameters, and restore them: `Checkpointer`."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Dict, Mapping, Optional, Union

from ..distributed.group import SOLO, Group
from ..run_options.options import RunOptions
from ..runs import states
from ..runs.progress import Progress
from ..runs.run_folders import RunLock
from ..system.errors import InputError, reason
from ..zoo import parameters
from .state_arrays import check_arrays, restore_arrays, state_arrays
from .step import TrainingStep


class Checkpointer:
    """Save a run into its folder: the state to resume from, the parameters of its epochs and the best parameters.

    Parameters
    ----------
    lock : RunLock or str
        The lock of the run's folder; in a process that writes nothing, the folder.
    step : TrainingStep
    progress : Progress
        Saved with the state. `best` and `best_ema` are set once their parameters are on the disk.
    options : RunOptions
    group : Group
        The processes that train together. All of them call `save` at the same step; rank 0 writes, and the others learn
        from it what was saved.

    Attributes
    ----------
    folder : str
        The run's folder.
    lock : RunLock or None
    saved_step : int or None
        Step of the last state that was saved; None before the first.
    saved_at : float
        Time of the last attempt, by `time.monotonic`.
    failure : OSError or None
        Why the last attempt to save a state failed.
    lost : dict of str to OSError
        The parameter files that could not be written in the last attempt, and why.
    """

    def __init__(
        self,
        lock: Union[RunLock, str],
        step: TrainingStep,
        progress: Progress,
        options: RunOptions,
        group: Group = SOLO,
    ) -> None:
        self.lock = None if isinstance(lock, str) else lock
        self.folder = lock if isinstance(lock, str) else lock.folder
        self.saved_step: Optional[int] = None
        self.saved_at = time.monotonic()
        self.failure: Optional[OSError] = None
        self.lost: Dict[str, OSError] = {}
        self._step, self._progress, self._options, self._group = step, progress, options, group

    def restore(self, state: states.State) -> None:
        """Put the arrays of a state into network, optimizer and moving average.

        Raises
        ------
        InputError
            If an array is missing, unknown, or has another shape or type than the run needs.
        """
        try:
            check_arrays(state, self._step)
        except ValueError as error:
            raise state.damaged(str(error)) from error
        restore_arrays(state.arrays, self._step.net, self._step.trainer, self._progress.step, self._group)
        if self._step.average:
            self._step.average.restore(state.arrays)
        self.saved_step = self._progress.step

    def save(self, row: Optional[Mapping[str, Any]] = None) -> None:
        """Write the state and, after an epoch (`row` holds its figures), first the parameters.

        A full disk does not end the run: `failure` and `lost` say what happened, and each file is tried whatever became
        of the others. The next call tries the state again. If the parameters of a best epoch cannot be written, they
        are lost. The best epoch is then the best one whose parameters are kept.

        Raises
        ------
        InputError
            If the folder was removed or replaced: nothing is written then.
        """
        self.saved_at = time.monotonic()
        self.lost = {}
        if self.lock:
            self.lock.check()
            if row:
                self._save_parameters(row)
        arrays = state_arrays(self._step.net, self._step.trainer, self._group)
        if self.lock:
            self._save_state(arrays)
        self._learn_what_was_saved()

    def _save_state(self, arrays: Dict[str, Any]) -> None:
        try:
            if self._step.average:
                arrays.update(self._step.average.state_arrays())
            progress = dict(dataclasses.asdict(self._progress), options=dataclasses.asdict(self._options))
            states.save_state(self.folder, arrays, progress)
            self.saved_step, self.failure = self._progress.step, None
        except OSError as error:
            self.failure = error

    def _learn_what_was_saved(self) -> None:
        """Tell the other processes what rank 0 has saved: when a run ends depends on its best epoch."""
        if self._group.world.size == 1:
            return
        progress, failure = self._progress, None if self.failure is None else reason(self.failure)
        told = self._group.broadcast_object([self.saved_step, failure, progress.best, progress.best_ema])
        if not self.lock:
            self.saved_step, failure, progress.best, progress.best_ema = told
            self.failure = None if failure is None else OSError(failure)

    def check_last_save(self) -> None:
        """Raise InputError if a file of the last save, at the end of the run, could not be written."""
        if self.failure:
            raise InputError(f"the run is done, but its last state could not be saved ({reason(self.failure)})")
        for path, error in self.lost.items():
            raise InputError(f"the run is done, but {path} could not be saved ({reason(error)})")

    def resume_hint(self) -> str:
        """Return which state is on the disk and how to resume it, as the end of a message."""
        if self.saved_step is None:
            assert self.failure is not None
            return f"no state of the run could be saved ({reason(self.failure)})"
        failed = f"a later one could not be saved ({reason(self.failure)}); " if self.failure else ""
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
            **self._options.source._asdict(),
        )
        description.update(("validation_" + name, row[prefix + name]) for name in ("top1", "top5", "loss"))
        description.update(self._options.described)
        if self._progress.started_from:
            description["started_from"] = self._progress.started_from
        if self._progress.data:
            description["data"] = self._progress.data
        is_best = self._progress.surpasses(best, row)
        if is_best:
            names = [*names, best.replace("_", "-")]
        for name in names:
            path = os.path.join(self.folder, name + ".params")
            try:
                parameters.save_parameters(net, path, description)
            except OSError as error:
                self.lost[path] = error
            else:
                if is_best and name == names[-1]:
                    self._progress.set_best(best, row)
