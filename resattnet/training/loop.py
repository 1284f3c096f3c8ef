"""Training: `train` makes a run of its options; `Run.fit` -> `train_epoch` -> `train_step` is the loop."""

import dataclasses
import math
import os
import random
import time

import numpy as np

from ..evaluation.metrics import evaluate
from ..models import parameters
from ..models.network import build
from ..models.precision import to_bfloat16
from ..models.spec import NetworkSpec
from ..models.units import zero_init_residual
from ..reports.mask_log import MaskLog
from ..runs import run_folders, run_lines
from ..runs.logs import RunLog
from ..runs.progress import Progress
from ..system.devices import average_running_statistics, check_type, choose_devices, machine, split_batch
from ..system.errors import InputError
from ..system.mxnet import mx
from ..system.signals import Interrupted, StopSignals
from . import checkpoints
from .distillation import DistillationLoss, Teacher
from .ema import MovingAverage
from .initial_weights import InitialWeights
from .inputs import open_inputs
from .meters import Meter
from .optimizer import GradientSum, make_trainer, update
from .resume import options_from_state
from .schedules import learning_rate_schedule

# Steps given to the device ahead of the one it works on: it never waits for us, and the bar tells the truth.
STEPS_AHEAD = 2


def train(options, state=None):
    """Train a network as the options say, from the start or from a state.

    Parameters
    ----------
    options : options.TrainingOptions
    state : checkpoints.State, optional
        The run goes on from it, in its folder.

    Returns
    -------
    Run
        Ended: `net`, `folder`, `progress.history` and `progress.best` are its outcome.

    Raises
    ------
    InputError
        If an option or a file is wrong, or the loss stops being finite.
    Interrupted
        After SIGINT or SIGTERM, once the state is saved.
    """
    devices, remarks = choose_devices(options.num_gpus, options.num_cpus)
    run = Run(options, devices, state)
    arguments = dataclasses.asdict(options)
    try:
        with run_folders.exclusive(run.folder), RunLog(
            options.log_dir, run.name, arguments
        ) as run.log, StopSignals() as run.signals:
            for remark in remarks + run.remarks:
                run.log.line("note: " + remark)
            run.fit()
    except InputError:
        if not os.listdir(run.folder):
            os.rmdir(run.folder)  # made for it, and nothing could be saved
        raise
    return run


class Run:
    """One training run: its data, network, optimizer and progress.

    Parameters
    ----------
    options : options.TrainingOptions
    devices : list of mx.Context
        Each gets `options.batch_size` images of every batch.
    state : checkpoints.State, optional
        To go on from.

    Attributes
    ----------
    log : board.RunLog
    signals : interrupts.StopSignals
        Both are given by `train`, before `fit`.
    """

    def __init__(self, options, devices, state=None):
        self.options, self.devices = options, devices
        self.remarks = check_type("float16" if options.float16 else options.dtype, devices)
        self.dtype = "float16" if options.float16 else "float32"  # of parameters, images and validation
        self.progress = Progress(**state.progress) if state else Progress()
        self.meter = Meter(**self.progress.totals)
        self.unsaved, self.saved_step = None, None
        start = InitialWeights(options.params, options.network) if options.params and not state else None
        random.seed(options.seed)
        np.random.seed(options.seed)
        mx.random.seed(options.seed)
        self.classes, self.transform, self.train_loader, self.validation_loader = open_inputs(options, devices)
        if self.progress.rescale_steps(len(self.train_loader)):
            self.remarks.append(
                "an update has not the images that it had before: the place in the epoch and in the "
                "schedule stays, the steps are counted as if all had been of the new number"
            )
        if state:
            self._go_on_from(options_from_state(state.options))
        self.mask_log = MaskLog(options, self.validation_loader) if options.mask_images else None
        self.network = NetworkSpec(self.classes, **options.network)
        self._build_network(start)
        self._build_objective()
        if state:
            self.saved_step = self.progress.step
            self.folder, self.name = state.folder, os.path.basename(os.path.abspath(state.folder))
            checkpoints.restore_arrays(state.arrays, self.net, self.trainer, self.progress.step)
            if self.average:
                self.average.restore(state.arrays)
        else:
            self.name = options.name or f"{options.title}_{time.strftime('%Y%m%d-%H%M%S')}"
            self.folder = run_folders.make_run_folder(options.model_dir, self.name)

    def _go_on_from(self, before):
        """Note what a run that goes on was trained with before."""
        self.progress.record_changes(self.options.effective, before.effective)
        dropped = sorted(set(before.lr_restarts or ()) - set(self.options.lr_restarts or ()))
        if dropped:
            self.remarks.append(
                f"the cosine does not begin anew after {','.join(map(str, dropped))}, as was planned before"
            )

    def _build_network(self, start):
        options, steps = self.options, len(self.train_loader)
        self.net = self.graph = self._make_net(mx.init.MSRAPrelu())
        if options.zero_gamma:
            zero_init_residual(self.net)
        if start:
            self.remarks.append(start.load_into(self.net, options.dataset, self.classes, self.devices))
            self.progress.started_from = start.sha256
        if options.dtype == "bfloat16":
            self.graph = to_bfloat16(self.net)
        rate = options.learning_rate(len(self.devices))
        if options.lr_per_256:
            self.remarks.append(f"--lr-per-256 {options.lr_per_256:g}: the highest learning rate is {rate:g}")
        self.schedule = learning_rate_schedule(
            options.lr_schedule,
            rate,
            options.epochs * steps,
            options.warmup * steps,
            [epoch * steps for epoch in options.decay_epochs],
            [epoch * steps for epoch in options.lr_restarts or ()],
            options.lr_restart_factor,
        )
        self.trainer = make_trainer(self.net, options, self.schedule)
        self.gradient_sum = GradientSum(self.trainer._params) if options.accumulate > 1 else None
        self.average = MovingAverage(self.net, options.ema) if options.ema else None

    def _build_objective(self):
        options, self.teacher = self.options, None
        self.loss = mx.gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=not self.transform.soft_labels)
        if options.teacher:
            self.teacher = Teacher(options.teacher, options.dataset, self.classes, self.devices, self.dtype)
            self.loss = DistillationLoss(self.loss, options.teacher_weight, options.temperature)
            if self.progress.teacher not in (None, self.teacher.sha256):
                raise InputError(f"--teacher {options.teacher} is not the network that the run began with")
            self.progress.teacher = self.teacher.sha256

    def _make_net(self, init, learns=True):
        net = build(self.network)
        if not learns:
            net.collect_params().setattr("grad_req", "null")  # no gradient is made, nor memory taken for any
        net.initialize(init, ctx=self.devices)
        if self.dtype != "float32":  # it would copy all of them
            net.cast(self.dtype)
        net.hybridize(static_alloc=True, static_shape=True)
        return net

    # ---- the loop ----

    def fit(self):
        """Train to the last epoch."""
        options, progress = self.options, self.progress
        self.log.line(
            f"{self.name}: Attention-{options.num_layers} ({options.widths}, "
            f"{options.attention_learning}, {options.attention} attention, mask {options.mask}), "
            f"{self.classes} classes, {self.train_loader.samples} training and "
            f"{self.validation_loader.samples} validation images, on {', '.join(map(str, self.devices))}"
        )
        if progress.epoch >= options.epochs:
            self.log.line(f"all its epochs ({progress.epoch}) were done before; a larger --epochs goes on")
        elif progress.step:
            self.log.line(f"resumed in epoch {progress.epoch + 1}, after step {progress.step}")
        self.log.table(progress.history)
        self.save()
        while progress.epoch < options.epochs:
            self.train_epoch()
            self.validate()
        if self.unsaved:
            raise InputError(f"the run is done, but its last state could not be saved ({self.unsaved})")
        self.log.line(run_lines.summary(progress, options.epochs, self.folder, self.log))

    def train_epoch(self):
        """Train on what is left of the epoch begun."""
        options, progress = self.options, self.progress
        interval = min(options.log_interval, len(self.train_loader))
        if machine(self.devices) not in progress.machines:
            progress.machines.append(machine(self.devices))
        self.log.start_bar(f"epoch {progress.epoch + 1}/{options.epochs}", len(self.train_loader), progress.batch)
        self.meter.start()
        for images, labels in self.batches():
            self.train_step(images, labels)
            progress.batch += 1
            progress.step += 1
            self.log.advance()
            if progress.batch % interval == 0:
                self.report()
            if time.monotonic() - self.saved_at > 60 * options.save_minutes:
                self.save()
            self.leave_if_asked()
        self.collect()
        self.meter.stop()
        self.log.end_bar()

    def batches(self):
        """What is left of the epoch begun; if the loader fails, what was trained is saved before that is said."""
        try:
            yield from self.train_loader.epoch(self.progress.epoch, start=self.progress.batch)
        except InputError as error:
            self.save()
            raise InputError(f"{error}; {self._where_to_go_on()}")

    def train_step(self, images, labels):
        """One update from one batch, or from `accumulate` of them in one; returns before the devices are done."""
        for part in zip(*(np.array_split(array, self.options.accumulate) for array in (images, labels))):
            self.make_gradients(split_batch(*part, self.devices, self.dtype))
            if self.gradient_sum:
                self.gradient_sum.add()
        if self.gradient_sum:
            self.gradient_sum.write_back()
        update(self.trainer, len(images), self.options.clip_gradient)
        if self.average:
            self.average.update(self.progress.step + 1)

    def make_gradients(self, parts):
        """Forward and backward of one batch, given as its parts on the devices, counted by the meter."""
        targets = [(y, self.teacher(x)) if self.teacher else (y,) for x, y in parts]
        with mx.autograd.record():
            outputs = [self.graph(x) for x, _ in parts]
            # In float32, also of float16's logits: mixed labels and their smoothing are of no other type.
            losses = [
                self.loss(output.astype("float32", copy=False), *target) for output, target in zip(outputs, targets)
            ]
        mx.autograd.backward(losses)
        for loss, output, (_, y) in zip(losses, outputs, parts):
            heavier = y.argmax(axis=1) if self.transform.soft_labels else y.astype("float32")
            hits = output.argmax(axis=1).astype("float32") == heavier
            self.meter.add(loss.sum(), hits.sum(), len(loss))
        self.meter.limit_pending(STEPS_AHEAD * len(parts))

    def validate(self):
        """Measure the epoch just trained, keep its parameters if they are the best, and begin the next."""
        progress, meter = self.progress, self.meter
        average_running_statistics(self.net)
        row = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "learning_rate": self.schedule(progress.step - 1),
            "train_loss": meter.mean_loss,
            "train_" + self.accuracy_name: meter.accuracy,
        }
        row.update(self._measure("validation"))
        if self.average:
            row.update(self._measure("validation_ema", self.average))
        row.update(samples_per_second=meter.speed, seconds=meter.seconds)
        progress.end_epoch(row)
        self.meter = Meter()
        self.save(row)
        self.log.table(progress.history)
        self.log.scalars(progress.step, run_lines.epoch_scalars(row))
        if self.options.shows_masks(progress.epoch):
            self.log.pictures(progress.step, self.mask_log.pictures(self.copy()))
        self.log.line(run_lines.epoch_line(row, progress, self.options.epochs))

    def _measure(self, what, average=None):
        """Figures of the network, or of its average, over all validation images, by name."""
        result = evaluate(
            self.copy(average), self.validation_loader.epoch(0), self.devices, self.dtype, self.leave_if_asked
        )
        return {what + "_loss": result.loss, what + "_top1": result.top1, what + "_top5": result.top5}

    def copy(self, average=None):
        """A new net with the parameters, or their average.

        It is for inference, which turns weights into oneDNN's layouts: neither training on from those nor writing
        new values to them gives the same numbers every time.
        """
        net = self._make_net(mx.init.Zero(), learns=False)
        parameters.copy_parameters(self.net, net)
        if average:
            average.copy_to(net)
        return net

    # ---- what it says ----

    @property
    def accuracy_name(self):
        """Training accuracy of a run with mixup or CutMix is counted against the heavier label, and says so."""
        return "accuracy_heavier_label" if self.transform.has_mixing else "accuracy"

    def report(self):
        """Read the figures of the epoch so far, and say them."""
        speed, step, meter, name = self.collect(), self.progress.step, self.meter, self.accuracy_name
        rate = self.schedule(step - 1)
        # TensorBoard opens the first groups of the alphabet: what is looked at most stands in them, side by side.
        self.log.scalars(
            step,
            {
                "loss/train": meter.mean_loss,
                "accuracy/train" + name[len("accuracy") :]: meter.accuracy,
                "progress/learning_rate": rate,
                "progress/samples_per_second": speed,
            },
        )
        self.log.interim(
            f"step {step}  lr {rate:.4g}  loss {meter.mean_loss:.4f}  {name.replace('_', ' ')} "
            f"{meter.accuracy:.4f}  {speed:.1f} images/s"
        )

    # ---- what it keeps ----

    def collect(self):
        """Bring the meter up to date, and return the samples per second since the last time.

        Raises
        ------
        InputError
            If the loss is not finite.
        """
        speed = self.meter.collect()
        self._check_finite("the loss is", math.isfinite(self.meter.loss))
        self.progress.totals = self.meter.totals
        return speed

    def _check_finite(self, what, finite):
        if not finite:
            raise InputError(
                f"{what} not finite at step {self.progress.step} (epoch {self.progress.epoch + 1}): "
                f"try a lower --lr or a longer --warmup-epochs; {self._where_to_go_on()}"
            )

    def _where_to_go_on(self):
        """Which state is on the disk, as the end of a message."""
        if self.saved_step is None:
            return f"no state of the run could be saved ({self.unsaved})"
        failed = f"a later one could not be saved ({self.unsaved}); " if self.unsaved else ""
        return f"{failed}the last good state, of step {self.saved_step}, goes on with: --resume {self.folder}"

    def save(self, row=None):
        """Save the state and, after an epoch (its `row` is given), the parameters.

        A disk that is full does not end the run: it says so, and tries again the next time. Parameters that were the
        best are lost with it, and the best is then the best of those that are kept.
        """
        self.saved_at = time.monotonic()
        self.collect()
        self._check_finite("the parameters are", parameters.all_finite(self.net))
        try:
            checkpoints.save(self, row)
            self.saved_step, self.unsaved = self.progress.step, None
        except OSError as error:
            self.unsaved = error
            self.log.line(f"warning: step {self.progress.step} could not be saved ({error})")

    def leave_if_asked(self):
        """After a SIGINT or SIGTERM: save, and raise `Interrupted`, or an InputError if that could not be saved."""
        if self.signals.received:
            self.save()
            if self.unsaved:
                raise InputError(f"stopped after step {self.progress.step}; {self._where_to_go_on()}")
            raise Interrupted(
                (f"stopped after step {self.progress.step}, all saved; go on with: --resume {self.folder}"),
                self.signals.received,
            )
