"""Stop, resume and compare short training runs."""

import dataclasses
import os
import signal

import pytest

from helpers.jobs import assert_same_bits
from resattnet.commands.training_run import train
from resattnet.machine.mxnet import mx
from resattnet.run_options.resume import options_for_resume
from resattnet.runs import states
from resattnet.system.signals import Interrupted
from resattnet.training.step import TrainingStep

CLOCK = ("seconds", "samples_per_second")


def elsewhere(options, name, **changes):
    return dataclasses.replace(options, name=name, **changes)


def figures(run):
    """Return the history without the figures that depend on the speed of the machine."""
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in run.progress.history]


def values(run):
    return step_values(run.step)


def step_values(step):
    return {name: p.data(step.devices[0]).asnumpy() for name, p in step.net._collect_params_with_prefix().items()}


def assert_equal_runs(a, b):
    assert figures(a) == figures(b)
    assert_same_bits(values(a), values(b))


def stop_at(monkeypatch, step, action):
    """Make the next run call `action` right after step `step`. Return a function that undoes the patch."""
    train_step = TrainingStep.__call__

    def counted(self, *batch):
        train_step(self, *batch)
        if self.trainer.optimizer.num_update == step:
            action()

    monkeypatch.setattr(TrainingStep, "__call__", counted)
    return lambda: monkeypatch.setattr(TrainingStep, "__call__", train_step)


def stop_run(options, monkeypatch, step, signum=signal.SIGTERM):
    """Train until right after step `step`, where the process gets a signal to stop."""
    again = stop_at(monkeypatch, step, lambda: os.kill(os.getpid(), signum))
    with pytest.raises(Interrupted):
        train(options)
    again()


def resume(options, **changes):
    state = states.load_state(os.path.join(options.model_dir, options.name))
    return train(options_for_resume(state.options, changes, state.progress["epoch"]), state)


TRICKS = dict(cutout=8, mix_up=True, epsilon=0.1, mixup_off_epochs=2)


def fix_statistics(net):
    """Make batch normalisation use its running statistics in training too.

    Everything else in the gradient is a sum over the samples.
    """
    net.apply(lambda block: isinstance(block, mx.gluon.nn.BatchNorm) and block._kwargs.update(use_global_stats=True))
