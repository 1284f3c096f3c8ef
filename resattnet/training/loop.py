"""Train a run to its last epoch: `fit` is the loop of training, validation, logging and saving."""

from __future__ import annotations

import itertools
import math
import os
import time
from typing import Any, Dict, Iterable, Iterator, Tuple

import numpy as np

from ..distributed.statistics import average_statistics
from ..distributed.wishes import Wishes
from ..machine.facts import describe_machine
from ..runs.log_lines import epoch_line
from ..runs.logs import RunLog
from ..system.errors import InputError
from ..system.signals import Interrupted, StopSignals
from ..zoo import parameters
from ..zoo.descriptions import BEST
from .ending import Ending
from .figures import Figures, measure
from .meters import Meter
from .reporter import Reporter
from .run import Run

Batch = Tuple[np.ndarray, np.ndarray]  # images and labels


def fit(run: Run, log: RunLog, signals: StopSignals) -> None:
    """Train a run to its end: the last epoch of its options, or `patience` epochs without a new best.

    Parameters
    ----------
    run : Run
    log : RunLog
    signals : StopSignals
        After a signal to stop the state is saved, and the loop ends. SIGUSR1 saves only.

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
        self.checkpointer, self.group = run.checkpointer, run.group
        self.step.meter = Meter(**self.progress.totals, group=self.group)
        self.ending = Ending(run.options, len(run.inputs.train_loader))
        self.reporter = Reporter(run, log, self.ending)
        self.pace = self.reporter.pace

    def fit(self) -> None:
        """Train to the end of the run."""
        self.reporter.begin()
        self._save()
        while not self.ending.is_reached(self.progress):
            self._train_epoch()
            self._validate()
        self._test_best()
        self.checkpointer.check_last_save()
        self.reporter.end()

    def _train_epoch(self) -> None:
        """Train on the rest of the current epoch."""
        progress, meter = self.progress, self.step.meter
        steps = min(len(self.inputs.train_loader), self.ending.steps - progress.step + progress.batch)
        interval = min(self.options.log_interval, steps)
        machine = describe_machine(self.step.devices)
        if machine not in progress.machines:
            progress.machines.append(machine)
        self.log.start_bar(f"epoch {progress.epoch + 1}/{self.ending.epochs}", steps, progress.batch)
        meter.start()
        self.pace.start_epoch(progress.step)
        batches = self._saving(self.inputs.train_loader.epoch(progress.epoch, start=progress.batch))
        for images, labels in itertools.islice(batches, steps - progress.batch):
            self.step(images, labels, self.inputs.train_loader.sampler.step_samples(progress.batch))
            progress.batch += 1
            progress.step += 1
            self.log.advance()
            wishes = self._agree() if progress.batch % self.group.steps_apart == 0 else Wishes()
            if progress.batch % interval == 0:
                self.reporter.figures(self._collect())
            elif self.pace.is_new:
                self._collect()
            elif wishes.report:
                self.reporter.figures(self._collect(), on_board=False)
            if wishes.is_due:
                self._save()
            self._obey(wishes)
        self._collect()
        self.pace.end_epoch()
        meter.stop()
        self.log.end_bar()

    def _saving(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches; if the loader fails, save before raising. A signal may be why it fails.

        One process of several cannot save: the others do not know that it has stopped.
        """
        try:
            yield from batches
        except InputError as error:
            if self.group.world.size == 1:
                self.obey_signals()
                self._save()
            raise InputError(f"{error}; {self.checkpointer.resume_hint()}") from error

    def _validate(self) -> None:
        """Measure the epoch just trained, save its parameters, log its figures, and begin the next epoch."""
        progress, meter = self.progress, self.step.meter
        self.group.settle(self.step.trainer)
        average_statistics(self.step.net, self.group)
        row: Dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "learning_rate": self.run.schedule(progress.step - 1),
            "train_loss": meter.mean_loss,
            "train_" + self.reporter.accuracy_name: meter.accuracy,
        }
        row.update(self._measure("validation"))
        if self.step.average:
            row.update(self._measure("validation_ema", averaged=True))
        row.update(samples_per_second=meter.speed, seconds=meter.seconds)
        if progress.batch < len(self.inputs.train_loader):  # the run ends within the epoch
            progress.add_row(row)
        else:
            progress.end_epoch(row)
            self.step.meter = Meter(group=self.group)
        self._save(row)
        self.log.epochs(progress.history)
        for hook in self.run.hooks:
            hook(row["epoch"], progress.step, self.log, self.step.copy_for_inference, self.ending.is_reached(progress))
        self.log.line(epoch_line(row, progress, self.ending.epochs))

    def _test_best(self) -> None:
        """Measure the best parameters on test images that are not the validation images, and save the result."""
        progress, loader = self.progress, self.inputs.test_loader
        if loader is None or not progress.best:
            return
        net = self.step.copy_for_inference()
        if self.group.is_first:
            parameters.load_parameters(net, os.path.join(self.run.folder, BEST), self.step.devices)
        self.group.broadcast_network(net)
        result = self._evaluate(net, loader, "test")
        progress.test = dict(epoch=progress.best["epoch"], loss=result.loss, top1=result.top1, top5=result.top5)
        self._save()
        self.reporter.tested(result)

    def _measure(self, what: str, averaged: bool = False) -> Dict[str, float]:
        """Return loss, top-1 and top-5 of the network, or of its moving average, over all validation images."""
        result = self._evaluate(self.step.copy_for_inference(averaged), self.inputs.validation_loader, "validation")
        return {what + "_loss": result.loss, what + "_top1": result.top1, what + "_top5": result.top5}

    def _evaluate(self, net: Any, loader: Any, split: str) -> Figures:
        """Measure a network on all images of a loader; stop and save as in training."""
        result = measure(net, loader, self._saving, self.step, self.obey_signals, self.group)
        self._check_finite(f"the outputs for {split} images are", result.is_finite)
        return result

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
        self.group.settle(self.step.trainer)
        broken = self.group.sum([not parameters.all_finite(self.step.net)])
        self._check_finite("the parameters are", not broken.any())
        self.checkpointer.save(row)
        self.reporter.warn_of_losses()

    def _agree(self) -> Wishes:
        """Return what all processes do after this step."""
        is_due = time.monotonic() - self.checkpointer.saved_at > 60 * self.options.save_minutes
        wishes = Wishes(self.signals.received or 0, self.signals.save_requested, is_due, self.pace.wants_report)
        return wishes.agree(self.group)

    def obey_signals(self) -> None:
        """After SIGUSR1, save; after a signal to stop, save and raise Interrupted, or InputError if saving failed."""
        self._obey(self._agree())

    def _obey(self, wishes: Wishes) -> None:
        if wishes.stop:
            self._save()
            if self.checkpointer.failure:
                raise InputError(f"stopped after step {self.progress.step}; {self.checkpointer.resume_hint()}")
            raise Interrupted(
                f"stopped after step {self.progress.step}, all saved; resume with: --resume {self.run.folder}",
                wishes.stop,
            )
        if wishes.save:
            self.signals.save_requested = False
            self._save()
            if not self.checkpointer.failure:
                self.log.line(f"saved after step {self.progress.step}, as SIGUSR1 asks; the run goes on")
