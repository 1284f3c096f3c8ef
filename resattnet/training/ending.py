"""Decide when a run is over: after its last step, or early, for want of a new best epoch."""

from __future__ import annotations

from ..run_options.options import RunOptions
from ..runs.progress import Progress


class Ending:
    """The end of a run: a function of its options and its progress, so that a resumed run ends at the same step.

    Parameters
    ----------
    options : RunOptions
    epoch_steps : int
        Steps of an epoch.

    Attributes
    ----------
    steps, epochs : int
        Steps and epochs of the run if it does not end early; the last epoch may end before its last batch.
    """

    def __init__(self, options: RunOptions, epoch_steps: int) -> None:
        self.steps = options.steps(epoch_steps)
        self.epochs = -(-self.steps // epoch_steps)
        self._max_steps, self._patience = options.max_steps, options.patience

    def is_reached(self, progress: Progress) -> bool:
        """Return whether a run is trained and validated to its end."""
        return self._is_complete(progress) or self._is_early(progress)

    def why_early(self, progress: Progress) -> str:
        """Return why a run ended before its last step, as part of a line; "" if it did not."""
        if self._is_complete(progress) or not self._is_early(progress):
            return ""
        epochs = f"{self._patience} epoch{'s' if self._patience > 1 else ''}"
        return f"stopped after epoch {progress.epoch}: no new best in {epochs}"

    def how_to_continue(self, progress: Progress) -> str:
        """Return why a run is over, and which option continues it, as a line."""
        early = self.why_early(progress)
        if early:
            return f"{early}; a larger --patience continues the run, and --patience 0 to its last epoch"
        by_steps = progress.step == self._max_steps
        what, done, flag = ("steps", progress.step, "max-steps") if by_steps else ("epochs", progress.epoch, "epochs")
        return f"all {what} of the run ({done}) are done; a larger --{flag} continues it"

    def _is_complete(self, progress: Progress) -> bool:
        return progress.is_over(self.epochs, self.steps)

    def _is_early(self, progress: Progress) -> bool:
        """Return whether the patience is used up; only where no epoch has begun, since that one has no figures yet."""
        return bool(self._patience) and not progress.batch and progress.epochs_without_best >= self._patience
