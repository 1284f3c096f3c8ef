"""Short training runs, stopped and resumed, and their comparison."""

import dataclasses
import os

from resattnet.commands.training_run import train
from resattnet.runs import states
from resattnet.system.mxnet import mx
from resattnet.training.resume import options_for_resume
from resattnet.training.step import TrainingStep

CLOCK = ("seconds", "samples_per_second")


def elsewhere(options, name, **changes):
    return dataclasses.replace(options, name=name, **changes)


def figures(run):
    """The history without what depends on the machine's speed."""
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in run.progress.history]


def values(run):
    return step_values(run.step)


def step_values(step):
    return {name: p.data(step.devices[0]).asnumpy() for name, p in step.net._collect_params_with_prefix().items()}


def assert_equal_runs(a, b):
    assert figures(a) == figures(b)
    assert all((value == values(b)[name]).all() for name, value in values(a).items())


def stop_at(monkeypatch, step, action):
    """Have `action` happen right after a step of the next run; return a function that takes that back."""
    train_step = TrainingStep.__call__

    def counted(self, *batch):
        train_step(self, *batch)
        if self.trainer.optimizer.num_update == step:
            action()

    monkeypatch.setattr(TrainingStep, "__call__", counted)
    return lambda: monkeypatch.setattr(TrainingStep, "__call__", train_step)


def resume(options, **changes):
    state = states.load_state(os.path.join(options.model_dir, options.name))
    return train(options_for_resume(state.options, changes, state.progress["epoch"]), state)


TRICKS = dict(cutout=8, mix_up=True, epsilon=0.1, mixup_off_epochs=2)


def fix_statistics(net):
    """Have batch normalisation use its running statistics in training too: all else is a sum over the samples."""
    net.apply(lambda block: isinstance(block, mx.gluon.nn.BatchNorm) and block._kwargs.update(use_global_stats=True))
