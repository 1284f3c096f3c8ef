"""Test that flat arrays change no bit: against a trainer with an array for each parameter, in weights and states."""

import numpy as np
import pytest

from resattnet.distributed.group import SOLO, Group
from resattnet.machine.mxnet import mx
from resattnet.models.network import build
from resattnet.models.parts import PARTS, freeze
from resattnet.models.spec import NetworkSpec, Spec, Widths
from resattnet.optimization import optimizer
from resattnet.optimization.flat_trainer import ALIGNMENT, FlatTrainer
from resattnet.run_options.options import TrainingOptions
from resattnet.training.state_arrays import restore_arrays, state_arrays
from resattnet.training.step import make_step

pytestmark = pytest.mark.isa

SMALL = dict(depth=Spec(1, 1, 1, (1, 1, 1)), channels=Widths(4, (4, 4, 4), 4))
DEVICES = ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)], [mx.cpu(0), mx.cpu(1), mx.cpu(2)])


def rate(step):
    return 0.05 / (1 + step)


def small_step(flat, monkeypatch, devices=DEVICES[0], frozen=(), **options):
    """Return the training step of a small network, with flat arrays or with an array for each parameter."""
    monkeypatch.setattr(optimizer, "_can_be_flat", lambda *_: flat)
    mx.random.seed(3)
    net = build(NetworkSpec(10), **SMALL)
    net.initialize(ctx=devices)
    net.hybridize(static_alloc=True, static_shape=True)
    if frozen:
        freeze(net, frozen)
    step = make_step(net, TrainingOptions(**options), devices, rate)
    assert isinstance(step.trainer, FlatTrainer) == flat
    return step


def train(step, numbers):
    for number in numbers:
        rng = np.random.default_rng(number)
        step(rng.normal(size=(12, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 12).astype(np.int32))


def arrays_of(step):
    arrays = state_arrays(step.net, step.trainer)
    return dict(arrays, **step.average.state_arrays()) if step.average else arrays


def assert_equal(ours, others):
    assert set(ours) == set(others)
    assert all((array == others[name]).all() for name, array in ours.items())


CASES = [
    dict(),
    dict(momentum=0.0),
    dict(no_wd=True, head_lr_factor=3.0, wd=0.01),
    dict(optimizer="sgd", clip_gradient=0.3, ema=0.9),
    dict(optimizer="sgd", momentum=0.0, no_wd=True),
    dict(optimizer="adamw", no_wd=True, accumulate=2),
    dict(devices=DEVICES[1], accumulate=2, clip_gradient=0.3, ema=0.9, no_wd=True),
    dict(devices=DEVICES[2], optimizer="adamw", ema=0.5),
    dict(frozen=PARTS[:3], head_lr_factor=2.0, ema=0.9, clip_gradient=0.3),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_bits_of_a_trainer_with_an_array_for_each_parameter(case, monkeypatch):
    steps = [small_step(flat, monkeypatch, **case) for flat in (True, False)]
    assert_equal(*(arrays_of(step) for step in steps))  # before the first step, neither has optimizer states
    for step in steps:
        train(step, range(3))
    assert_equal(*(arrays_of(step) for step in steps))
    for parameter in steps[0].trainer._params:
        first, *others = (data.asnumpy() for data in parameter.list_data())
        assert all((other == first).all() for other in others)


@pytest.mark.parametrize(
    "before, after, name", [(True, False, "nag"), (False, True, "adamw"), (False, True, "nag"), (True, True, "adamw")]
)
def test_a_state_of_either_trainer_continues_in_the_other(before, after, name, monkeypatch):
    options = dict(optimizer=name, no_wd=True, ema=0.9)
    whole, again = (small_step(flat, monkeypatch, **options) for flat in (before, after))
    train(whole, range(2))
    saved = {key: array.copy() for key, array in arrays_of(whole).items()}
    restore_arrays(saved, again.net, again.trainer, 2)
    again.average.restore(saved)
    assert_equal(arrays_of(again), saved)
    for step in (whole, again):
        train(step, [2, 3])
    assert_equal(arrays_of(whole), arrays_of(again))


def test_parameters_are_parts_of_one_array_for_each_pair_of_multipliers(monkeypatch):
    step = small_step(True, monkeypatch, no_wd=True, head_lr_factor=3.0)
    segments = step.trainer.segments
    assert {(p.lr_mult, p.wd_mult) for s in segments for p in s.parameters} == {(1, 1), (1, 0), (3, 1), (3, 0)}
    assert len(segments) == 4 and sum(len(s.parameters) for s in segments) == len(step.trainer._params)
    for segment in segments:
        assert len({(p.lr_mult, p.wd_mult) for p in segment.parameters}) == 1
        assert segment.weights[0].size % ALIGNMENT == 0
        segment.weights[0][:] = 5
        segment.gradients[0][:] = 7
    for parameter in step.trainer._params:
        assert (parameter.data() == 5).asnumpy().all() and (parameter.grad() == 7).asnumpy().all()


class Engine(Group):
    """A group of several processes, as far as the choice of a trainer goes."""


def test_who_keeps_an_array_for_each_parameter():
    def trainer(dtype="float32", group=SOLO, **options):
        net = mx.gluon.nn.Dense(3, in_units=2)
        net.initialize()
        net.cast(dtype)
        return optimizer.make_trainer(net, TrainingOptions(**options), rate, group)

    assert isinstance(trainer(), FlatTrainer) and isinstance(trainer(optimizer="adamw"), FlatTrainer)
    others = [trainer(optimizer="lamb"), trainer("float16"), trainer(group=Engine())]
    assert [type(other) for other in others] == [mx.gluon.Trainer] * 3


def test_parameters_with_new_arrays_are_refused():
    net = mx.gluon.nn.Dense(3, in_units=2)
    net.initialize()
    trainer = optimizer.make_trainer(net, TrainingOptions(), rate)
    net.initialize(force_reinit=True)
    with pytest.raises(RuntimeError, match="dense.*_weight was given new arrays after its trainer was made"):
        trainer.step(1)
