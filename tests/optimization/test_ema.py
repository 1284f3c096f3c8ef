"""Tests for the moving average: its values against the recursion in NumPy, and what a run measures and saves."""

import os

import numpy as np
import pytest

from helpers.runs import elsewhere, step_values
from resattnet.commands.training_run import train
from resattnet.evaluation.network import evaluate
from resattnet.machine.mxnet import mx
from resattnet.models.network import build
from resattnet.optimization.ema import MovingAverage
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError
from resattnet.training.step import TrainingStep
from resattnet.zoo import parameters


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_average_of_a_parameter(decay):
    net = mx.gluon.nn.Dense(2, in_units=3)
    net.initialize()
    average, rng = MovingAverage(net, decay), np.random.default_rng(0)
    expected = net.weight.data().asnumpy().astype(np.float64)
    for step in range(1, 40):
        value = rng.normal(size=(2, 3))
        net.weight.set_data(mx.nd.array(value))
        average.update(step)
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
    assert np.abs(average.state_arrays()["average/weight"] - expected).max() < 1e-6
    other = mx.gluon.nn.Dense(2, in_units=3)
    other.initialize()
    average.copy_to(other)
    assert np.abs(other.weight.data().asnumpy() - expected).max() < 1e-6


def test_a_run_averages_validates_and_saves_its_parameters(options, monkeypatch):
    seen, train_step = [], TrainingStep.__call__

    def watched(self, *batch):
        seen.append(step_values(self)) if not seen else None
        train_step(self, *batch)
        seen.append(step_values(self))

    monkeypatch.setattr(TrainingStep, "__call__", watched)
    run = train(elsewhere(options, "averaged", ema=0.8))
    saved, plain = (mx.nd.load(os.path.join(run.folder, name)) for name in ("ema.params", "last.params"))
    assert len(seen) == 13
    for name, parameter in run.step.net._collect_params_with_prefix().items():
        if parameter.grad_req == "null":
            assert (saved[name] == plain[name]).asnumpy().all(), name
            continue
        expected = seen[0][name].astype(np.float64)
        for step, state in enumerate(seen[1:], 1):
            expected += max(0.2, 9 / (step + 10)) * (state[name] - expected)
        assert np.abs(saved[name].asnumpy() - expected).max() < 1e-5, name
    last = run.progress.history[-1]
    net = build(run.step.net.spec)
    parameters.load_parameters(net, os.path.join(run.folder, "ema.params"), run.step.devices)
    result = evaluate(net, run.inputs.validation_loader, run.step.devices)
    assert (result.top1, result.top5) == (last["validation_ema_top1"], last["validation_ema_top5"])
    assert result.loss == pytest.approx(last["validation_ema_loss"], rel=1e-5)
    assert last["validation_ema_loss"] != last["validation_loss"]
    best = max(row["validation_ema_top1"] for row in run.progress.history)
    description = parameters.read_description(os.path.join(run.folder, "best-ema.params"))
    assert description["validation_top1"] == best == run.progress.best_ema["top1"] and description["ema"] == 0.8
    with open(os.path.join(options.log_dir, "csv", "averaged.csv")) as handle:
        assert "validation_ema_top1" in handle.readline()


@pytest.mark.parametrize("ema", [0.0, 1.0, -1.0])
def test_invalid_decays(ema):
    with pytest.raises(InputError, match=f"^ema={ema}: give a number (above 0|below 1)$"):
        TrainingOptions(ema=ema)
