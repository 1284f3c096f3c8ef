"""Describe how far a training run is, and what it was trained with: the part of a state besides its arrays."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional

BEST = {"best": "validation_top1", "best_ema": "validation_ema_top1"}  # field of `Progress`: figure that it maximises


def accuracy_name(mixes_labels: bool) -> str:
    """Return the name of the training accuracy.

    With mixup or CutMix (`mixes_labels`) an image has two labels. The accuracy is then counted against the heavier one,
    and its name says so.
    """
    return "accuracy_heavier_label" if mixes_labels else "accuracy"


def row_accuracy_name(row: Mapping[str, Any]) -> str:
    """Return the name of the training accuracy in an epoch's row, whose key for it is "train_" and that name."""
    return accuracy_name("train_" + accuracy_name(True) in row)


@dataclasses.dataclass
class Progress:
    """How far a run is: all that a state holds besides its arrays, as JSON types.

    Attributes
    ----------
    epoch, batch, step : int
        Number of whole epochs done, of batches done in the next epoch, and of all steps done.
    epoch_steps : int
        Number of steps of an epoch; 0 while it is not known.
    totals : dict
        The meter's sums of the current epoch.
    best : dict or None
        `epoch` and `top1` of the best validation so far whose parameters were saved.
    best_ema : dict or None
        The same for the moving average of the parameters.
    teacher : str or None
        SHA-256 of the teacher's parameter file.
    started_from : str or None
        SHA-256 of the parameter file that the run started from; None for random parameters.
    history : list of dict
        The row of each whole epoch.
    machines : list of str
        Each machine that the run was computed on, once, in order.
    changes : list of dict
        One entry for each time that the run was resumed with other options: the `step`, and as `options` the previous
        values of the options that changed.
    data : dict or None
        The facts of the run's data set. States of earlier versions do not have them: None.
    test : dict or None
        `epoch`, `loss`, `top1` and `top5` of the best parameters on the test images, where these are not the validation
        images and the run has ended.
    processes : int
        Number of processes that train the run together.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    epoch_steps: int = 0
    totals: Dict[str, Any] = dataclasses.field(default_factory=dict)
    best: Optional[Dict[str, Any]] = None
    best_ema: Optional[Dict[str, Any]] = None
    teacher: Optional[str] = None
    started_from: Optional[str] = None
    history: List[Dict[str, Any]] = dataclasses.field(default_factory=list)
    machines: List[str] = dataclasses.field(default_factory=list)
    changes: List[Dict[str, Any]] = dataclasses.field(default_factory=list)
    data: Optional[Dict[str, Any]] = None
    test: Optional[Dict[str, Any]] = None
    processes: int = 1

    def end_epoch(self, row: Dict[str, Any]) -> None:
        """Add the row of the completed epoch to the history, and begin the next epoch."""
        self.add_row(row)
        self.epoch, self.batch = row["epoch"], 0

    def add_row(self, row: Dict[str, Any]) -> None:
        """Add the row of an epoch, whole or not, to the history, in place of an earlier row of that epoch."""
        self.history = [*(other for other in self.history if other["epoch"] < row["epoch"]), row]

    def is_over(self, epochs: int, steps: int) -> bool:
        """Return whether a run of `epochs` epochs, which ends after `steps` steps, is trained and validated."""
        if self.epoch >= epochs or self.step < steps:
            return self.epoch >= epochs
        return bool(self.history) and (self.history[-1]["epoch"], self.history[-1]["step"]) == (
            self.epoch + 1,
            self.step,
        )

    @property
    def epochs_without_best(self) -> int:
        """Number of whole epochs since the newest best, be it of the network or of its moving average."""
        return self.epoch - max((best["epoch"] for best in (self.best, self.best_ema) if best), default=0)

    def surpasses(self, which: str, row: Mapping[str, Any]) -> bool:
        """Return whether an epoch's row is better than the best so far; `which` is a key of `BEST`."""
        best, top1 = getattr(self, which), BEST[which]
        return top1 in row and (best is None or row[top1] > best["top1"])

    def set_best(self, which: str, row: Mapping[str, Any]) -> None:
        """Record an epoch's row as the best so far. Call this once its parameters are saved."""
        setattr(self, which, {"epoch": row["epoch"], "top1": row[BEST[which]]})

    def record_changes(self, options: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """Record the options that the steps so far were trained with, where the options from now on differ.

        Parameters
        ----------
        options, before : mapping
            The options from now on and until now, as `TrainingOptions.effective` gives them.
        """
        if self.changes and self.changes[-1]["step"] == self.step:
            # No step was trained with the options of `before`: compare with the options before those.
            before = dict(before, **with_tuples(self.changes.pop()["options"]))
        changed = {name: value for name, value in before.items() if options[name] != value}
        if changed and self.step:
            self.changes.append({"step": self.step, "options": changed})

    def rescale_steps(self, epoch_steps: int) -> int:
        """Continue with another number of steps per epoch, as after a change of batch size.

        The place in the epoch and in the schedule stays. The steps done are counted as if all epochs had had the new
        number of steps.

        Returns
        -------
        int
            The earlier number of steps per epoch if it differs, else 0.
        """
        before = self.epoch_steps or (self.step - self.batch) // max(self.epoch, 1) or epoch_steps
        self.epoch_steps = epoch_steps
        if before == epoch_steps:
            return 0
        self.batch = min(round(self.batch * epoch_steps / before), epoch_steps)
        self.step = self.epoch * epoch_steps + self.batch
        return before


def with_tuples(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return options as they were before JSON turned their tuples into lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
