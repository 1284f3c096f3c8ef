"""Say on the terminal, in the logs and on the board how a run goes: `Reporter`."""

from __future__ import annotations

import time

from ..runs.board import step_scalars
from ..runs.log_lines import best_lines, summary
from ..runs.logs import RunLog
from ..runs.pace import Pace
from ..runs.progress import accuracy_name
from ..system.durations import format_duration
from ..system.errors import reason
from ..zoo.descriptions import BEST
from .ending import Ending
from .figures import Figures
from .run import Run


class Reporter:
    """Report the beginning of a run, its figures between epochs, and its end.

    Parameters
    ----------
    run : Run
    log : RunLog
    ending : Ending
        The end of the run.

    Attributes
    ----------
    accuracy_name : str
        Name of the training accuracy.
    pace : Pace
        The speed of the steps; the loop tells it when steps begin and end.
    """

    def __init__(self, run: Run, log: RunLog, ending: Ending) -> None:
        self._run, self._log, self._ending = run, log, ending
        self._is_late = False
        self.accuracy_name = accuracy_name(run.inputs.transform.has_mixing)
        loader, validated = run.inputs.train_loader, run.inputs.validation_loader.samples
        self.pace = Pace(ending.epochs, len(loader), loader.samples, validated * (2 if run.step.average else 1))

    def begin(self) -> None:
        """Say what the run trains, on which images and devices, and from where on."""
        run, options, progress, inputs = self._run, self._run.options, self._run.progress, self._run.inputs
        unit = "" if options.unit == "bottleneck" else f"{options.unit} units, "
        self._log.line(
            f"{run.name}: Attention-{options.num_layers} ({options.widths}, {unit}{options.attention_learning}, "
            f"{options.attention} attention, mask {options.mask}), {inputs.classes} classes, "
            f"{inputs.train_loader.sampler.total} training and {inputs.validation_loader.sampler.total} validation "
            f"images, on {', '.join(map(str, run.step.devices))}{self._processes()}"
        )
        if self._ending.is_reached(progress):
            self._log.line(self._ending.how_to_continue(progress))
        elif progress.step:
            self._log.line(f"resumed in epoch {progress.epoch + 1}, after step {progress.step}")
        self._log.table(progress.history)

    def _processes(self) -> str:
        size = self._run.group.world.size
        return "" if size == 1 else f" of each of {size} processes ({self._run.options.kvstore})"

    def figures(self, speed: float, on_board: bool = True) -> None:
        """Log the figures of the epoch so far: on the terminal, and on the board where its points are.

        Parameters
        ----------
        speed : float
            Samples per second since the last call.
        on_board : bool
        """
        progress, meter, name = self._run.progress, self._run.step.meter, self.accuracy_name
        rate = self._run.schedule(progress.step - 1)
        if on_board:
            self._log.scalars(progress.step, step_scalars(meter.mean_loss, name, meter.accuracy, rate, speed))
        self._log.interim(
            f"step {progress.step}  lr {rate:.4g}  loss {meter.mean_loss:.4f}  {name.replace('_', ' ')} "
            f"{meter.accuracy:.4f}  {speed:.1f} images/s",
            *self.pace.left(progress.epoch, progress.batch),
        )
        for note in self.pace.first_notes():
            self._log.line(f"note: {note}")
        self._watch_deadline()

    def _watch_deadline(self) -> None:
        """Say once, from the second epoch on, if the run will end after its time limit at the speed of its steps."""
        deadline, progress = self._run.deadline, self._run.progress
        if deadline is None or self._is_late or not progress.epoch:
            return
        late = time.monotonic() + self.pace.left(progress.epoch, progress.batch)[1] - deadline
        if late > 0:
            self._is_late = True
            self._log.warn(
                f"at this speed the run ends {format_duration(late)} after its --time-limit; --resume continues it "
                "after a stop"
            )

    def tested(self, result: Figures) -> None:
        """Log the evaluation of the best parameters on test images that are not the validation images."""
        inputs = self._run.inputs
        self._log.line(
            f"test  loss {result.loss:.4f}  top-1 {result.top1:.4f}  top-5 {result.top5:.4f}  on "
            f"{inputs.test_loader.sampler.total} test images: {BEST}, chosen on "
            f"{inputs.validation_loader.sampler.total} training images held out"
        )

    def warn_of_losses(self) -> None:
        """Warn of the files that could not be written in the last save."""
        checkpointer, progress = self._run.checkpointer, self._run.progress
        for path, error in checkpointer.lost.items():
            self._log.warn(f"{path} of epoch {progress.epoch} could not be saved ({reason(error)})")
        if checkpointer.failure and self._run.group.is_first:  # all know of it, and one says it
            self._log.warn(f"step {progress.step} could not be saved ({reason(checkpointer.failure)})")

    def end(self) -> None:
        """Say what the best epoch is, where the files of the run are, and why the run ended if it ended early."""
        run, epochs = self._run, self._ending.epochs
        early = self._ending.why_early(run.progress)
        self._log.line(
            summary(run.progress, epochs, run.folder, self._log, early),
            brief="\n".join(line for line, _ in best_lines(run.progress, epochs, early)),
        )
