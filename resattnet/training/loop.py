"""Train a run to its last epoch: `fit` is the loop of training, validation, logging and saving."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from ..evaluation.inference import evaluate
from ..models import parameters
from ..runs.board import step_scalars
from ..runs.logs import RunLog, epoch_line, summary
from ..runs.pace import Pace
from ..runs.progress import Progress, accuracy_name
from ..system.devices import average_running_statistics
from ..system.errors import InputError
from ..system.machine import describe_machine
from ..system.signals import Interrupted, StopSignals
from .checkpoints import Checkpointer
from .inputs import Inputs
from .meters import Meter
from .options import TrainingOptions
from .step import TrainingStep

# Called after each epoch with the epoch (from 1), the step, the log and a function that returns a copy of the network.
Hook = Callable[[int, int, RunLog, Callable[[], Any]], None]


@dataclasses.dataclass
class Run:
    """The parts of a training run, ready for `fit`.

    Attributes
    ----------
    options : TrainingOptions
    inputs : Inputs
    progress : Progress
    schedule : callable
        Learning rate at a step, counted from 0.
    step : TrainingStep
    checkpointer : Checkpointer
    remarks : list of str
        Lines for the run's log before the first step.
    hooks : list of Hook
    """

    options: TrainingOptions
    inputs: Inputs
    progress: Progress
    schedule: Callable[[int], float]
    step: TrainingStep
    checkpointer: Checkpointer
    remarks: List[str]
    hooks: Sequence[Hook] = ()

    @property
    def folder(self) -> str:
        """The folder of the run's parameters and states."""
        return self.checkpointer.folder

    @property
    def name(self) -> str:
        """The name of the run."""
        return os.path.basename(os.path.abspath(self.folder))


def fit(run: Run, log: RunLog, signals: StopSignals) -> None:
    """Train a run to the last epoch of its options.

    Parameters
    ----------
    run : Run
    log : RunLog
    signals : StopSignals
        After a signal the state is saved, and the loop ends.

    Raises
    ------
    InputError
        If the loss or a parameter is not finite, the data cannot be read, or the last state cannot be saved. The
        message names the last good state.
    Interrupted
        After a signal, once the state is saved.
    """
    TrainingLoop(run, log, signals).fit()


class TrainingLoop:
    """The loop over the epochs of a run; parameters are those of `fit`."""

    def __init__(self, run: Run, log: RunLog, signals: StopSignals) -> None:
        self.run, self.log, self.signals = run, log, signals
        self.options, self.progress, self.step, self.inputs = run.options, run.progress, run.step, run.inputs
        self.checkpointer = run.checkpointer
        self.step.meter = Meter(**self.progress.totals)
        self.accuracy_name = accuracy_name(self.inputs.transform.has_mixing)
        validated = self.inputs.validation_loader.samples * (2 if self.step.average else 1)
        self.pace = Pace(run.options.epochs, len(run.inputs.train_loader), run.inputs.train_loader.samples, validated)

    def fit(self) -> None:
        """Train to the last epoch."""
        self._say_what_begins()
        self._save()
        while self.progress.epoch < self.options.epochs:
            self._train_epoch()
            self._validate()
        if self.checkpointer.failure:
            raise InputError(f"the run is done, but its last state could not be saved ({self.checkpointer.failure})")
        self.log.line(summary(self.progress, self.options.epochs, self.run.folder, self.log))

    def _say_what_begins(self) -> None:
        options, progress, inputs = self.options, self.progress, self.inputs
        self.log.line(
            f"{self.run.name}: Attention-{options.num_layers} ({options.widths}, {options.attention_learning}, "
            f"{options.attention} attention, mask {options.mask}), {inputs.classes} classes, "
            f"{inputs.train_loader.samples} training and {inputs.validation_loader.samples} validation images, on "
            f"{', '.join(map(str, self.step.devices))}"
        )
        if progress.epoch >= options.epochs:
            self.log.line(f"all epochs of the run ({progress.epoch}) are done; a larger --epochs continues it")
        elif progress.step:
            self.log.line(f"resumed in epoch {progress.epoch + 1}, after step {progress.step}")
        self.log.table(progress.history)

    def _train_epoch(self) -> None:
        """Train on the rest of the current epoch."""
        progress, meter, steps = self.progress, self.step.meter, len(self.inputs.train_loader)
        interval = min(self.options.log_interval, steps)
        machine = describe_machine(self.step.devices)
        if machine not in progress.machines:
            progress.machines.append(machine)
        self.log.start_bar(f"epoch {progress.epoch + 1}/{self.options.epochs}", steps, progress.batch)
        meter.start()
        self.pace.start_epoch(progress.step)
        for images, labels in self._batches():
            self.step(images, labels)
            progress.batch += 1
            progress.step += 1
            self.log.advance()
            if progress.batch % interval == 0:
                self._report()
            elif self.pace.is_new:
                self._collect()
            elif self.pace.wants_report:
                self._report(on_board=False)
            if time.monotonic() - self.checkpointer.saved_at > 60 * self.options.save_minutes:
                self._save()
            self.stop_if_requested()
        self._collect()
        self.pace.end_epoch()
        meter.stop()
        self.log.end_bar()

    def _batches(self) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        """Yield the rest of the epoch's batches; if the loader fails, save before raising."""
        try:
            yield from self.inputs.train_loader.epoch(self.progress.epoch, start=self.progress.batch)
        except InputError as error:
            self._save()
            raise InputError(f"{error}; {self.checkpointer.resume_hint()}") from error

    def _validate(self) -> None:
        """Measure the epoch just trained, save its parameters, log its figures, and begin the next epoch."""
        progress, meter = self.progress, self.step.meter
        average_running_statistics(self.step.net)
        row = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "learning_rate": self.run.schedule(progress.step - 1),
            "train_loss": meter.mean_loss,
            "train_" + self.accuracy_name: meter.accuracy,
        }
        row.update(self._measure("validation"))
        if self.step.average:
            row.update(self._measure("validation_ema", averaged=True))
        row.update(samples_per_second=meter.speed, seconds=meter.seconds)
        progress.end_epoch(row)
        self.step.meter = Meter()
        self._save(row)
        self.log.epochs(progress.history)
        for hook in self.run.hooks:
            hook(progress.epoch, progress.step, self.log, self.step.copy_for_inference)
        self.log.line(epoch_line(row, progress, self.options.epochs))

    def _measure(self, what: str, averaged: bool = False) -> Dict[str, float]:
        """Return loss, top-1 and top-5 of the network, or of its moving average, over all validation images."""
        net, loader = self.step.copy_for_inference(averaged), self.inputs.validation_loader
        result = evaluate(net, loader.epoch(0), self.step.devices, self.step.dtype, self.stop_if_requested)
        return {what + "_loss": result.loss, what + "_top1": result.top1, what + "_top5": result.top5}

    def _report(self, on_board: bool = True) -> None:
        """Log the figures of the epoch so far: on the terminal, and on the board where its points are."""
        speed, step, meter, name = self._collect(), self.progress.step, self.step.meter, self.accuracy_name
        rate = self.run.schedule(step - 1)
        if on_board:
            self.log.scalars(step, step_scalars(meter.mean_loss, name, meter.accuracy, rate, speed))
        self.log.interim(
            f"step {step}  lr {rate:.4g}  loss {meter.mean_loss:.4f}  {name.replace('_', ' ')} {meter.accuracy:.4f}  "
            f"{speed:.1f} images/s",
            *self.pace.left(self.progress.epoch, self.progress.batch),
        )
        for note in self.pace.first_notes():
            self.log.line(f"note: {note}")

    def _collect(self) -> float:
        """Bring the meter up to date; return the samples per second since the last call.

        Raises
        ------
        InputError
            If the loss is not finite.
        """
        speed = self.step.meter.collect()
        self.pace.mark(self.progress.step)
        self._check_finite("the loss is", math.isfinite(self.step.meter.loss))
        self.progress.totals = self.step.meter.totals
        return speed

    def _check_finite(self, what: str, finite: bool) -> None:
        if not finite:
            raise InputError(
                f"{what} not finite at step {self.progress.step} (epoch {self.progress.epoch + 1}): try a lower `lr` "
                f"or a longer `warmup_epochs`; {self.checkpointer.resume_hint()}"
            )

    def _save(self, row: Any = None) -> None:
        """Save the state and, after an epoch (`row` holds its figures), the parameters."""
        self._collect()
        self._check_finite("the parameters are", parameters.all_finite(self.step.net))
        self.checkpointer.save(row)
        if self.checkpointer.failure:
            self.log.line(f"warning: step {self.progress.step} could not be saved ({self.checkpointer.failure})")

    def stop_if_requested(self) -> None:
        """After a signal, save and raise Interrupted, or InputError if the state could not be saved."""
        if self.signals.received:
            self._save()
            if self.checkpointer.failure:
                raise InputError(f"stopped after step {self.progress.step}; {self.checkpointer.resume_hint()}")
            raise Interrupted(
                f"stopped after step {self.progress.step}, all saved; resume with: --resume {self.run.folder}",
                self.signals.received,
            )
