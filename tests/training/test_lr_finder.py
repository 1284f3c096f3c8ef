"""Test the learning-rate range test: on a problem with a closed form, and on the network and the data of a run."""

import csv
import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from helpers import small_digits
from helpers.words import outcome
from resattnet.commands.rate_test import describe_test, find_learning_rate
from resattnet.commands.training_run import train
from resattnet.machine.mxnet import mx
from resattnet.optimization.optimizer import make_trainer
from resattnet.run_options.options import TrainingOptions
from resattnet.system.errors import InputError
from resattnet.training import lr_finder
from resattnet.training.lr_finder import range_test, rates_to_test, smooth, step_losses
from resattnet.training.preparation import prepare_run
from resattnet.training.step import TrainingStep

RATES = rates_to_test("sgd")


def parabola_losses(curvature, rates=RATES):
    """Return the losses of gradient descent on curvature / 2 w² from w = 3, in closed form.

    Step k multiplies w by 1 - rate_k curvature.
    """
    with np.errstate(over="ignore"):
        weights = 3 * np.cumprod(np.concatenate([[1], 1 - rates[:-1] * curvature]))
        return curvature / 2 * weights**2


class Parabola:
    """Batches of one sample x: a linear layer with the weight w has the loss (w x)² / 2."""

    def __init__(self, curvature):
        self._x = np.full((1, 1), np.sqrt(curvature), np.float32)

    def epoch(self, number):
        for _ in range(7):
            yield self._x, np.zeros(1, np.float32)


def parabola_step():
    net = mx.gluon.nn.Dense(1, use_bias=False, in_units=1)
    net.initialize(mx.init.Constant(3.0))
    trainer = make_trainer(net, TrainingOptions(optimizer="sgd", momentum=0.0, wd=0.0), lambda step: float(RATES[step]))
    return TrainingStep(net, mx.gluon.loss.L2Loss(), trainer, [mx.cpu()])


def test_the_curve_is_that_of_the_closed_form():
    test = range_test(RATES, step_losses(parabola_step(), Parabola(10)))
    wanted = parabola_losses(10)
    assert len(test.losses) == len(RATES) and (test.rates == RATES).all()
    visible = wanted > 1e-6 * wanted[0]
    np.testing.assert_allclose(test.losses[visible], wanted[visible], rtol=1e-3)


@pytest.mark.parametrize("curvature", [1, 10, 100])
def test_the_suggestion_is_where_the_loss_falls_fastest(curvature):
    """It is that of the closed form, below the rate of divergence, 2 / curvature, and not far below the best one."""
    losses = parabola_losses(curvature)
    test = range_test(RATES, losses)
    steepest = RATES[np.argmin(np.diff(losses[: np.argmin(losses) + 1]))]
    assert steepest / 1.4 < test.suggestion < steepest * 1.4
    assert 0.05 / curvature < test.suggestion < 1 / curvature
    assert 0.3 / curvature < test.lowest < 5 / curvature


def test_it_stops_where_the_loss_diverges():
    taken = []

    def losses():
        for number, loss in enumerate(parabola_losses(100) + 0.1):
            taken.append(number)
            yield float(loss)

    test = range_test(RATES, losses())
    assert test.diverged and len(taken) == len(test.rates) < 80
    assert 2 / 100 < test.rates[-1] < 10 * 2 / 100


def test_a_loss_that_is_not_finite_ends_the_test():
    test = range_test(RATES, [2.0, 1.5, float("nan"), 1.0])
    assert test.diverged and test.losses.tolist() == [2.0, 1.5]


def test_noise_is_no_divergence():
    """The losses of a trained network are low, and vary by as much as their mean."""
    noise = np.abs(np.random.default_rng(0).normal(0.05, 0.05, 100))
    test = range_test(RATES, noise)
    assert not test.diverged and len(test.losses) == 100
    test = range_test(RATES, np.where(np.arange(100) < 80, noise, 1.0))
    assert test.diverged and 80 < len(test.losses) < 90


def test_nothing_is_suggested_if_the_loss_does_not_fall():
    assert range_test(RATES, np.full(100, 2.3)).suggestion is None
    assert range_test(RATES, np.linspace(2.3, 4, 100)).suggestion is None


def test_smoothing_keeps_means_and_lines():
    assert smooth(np.full(30, 2.5)) == pytest.approx(np.full(30, 2.5))
    line = np.arange(40.0)
    assert smooth(line)[6:-6] == pytest.approx(line[6:-6])
    noise = np.random.default_rng(0).normal(size=2000)
    assert smooth(noise).std() < 0.5


def read_table(path):
    with open(path) as handle:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(handle)]


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(optimizer="adamw", mix_up=True, epsilon=0.1, accumulate=2, batch_size=8),
        dict(optimizer="lamb", num_cpus=2, batch_size=8, ema=0.9, clip_gradient=1.0, no_wd=True),
    ],
)
def test_the_test_begins_as_the_run_would(options, monkeypatch, changes):
    """Its first loss is that of the run's first batch; it leaves a table and a picture, and the name to the run."""
    monkeypatch.setattr(lr_finder, "STEPS", 8)
    options = dataclasses.replace(options, **changes)
    find_learning_rate(dataclasses.replace(options, lr_find=True))
    folder = os.path.join(options.log_dir, "lr-find")
    assert os.listdir(options.log_dir) == ["lr-find"] and sorted(os.listdir(folder)) == ["run.csv", "run.png"]
    assert not os.path.exists(options.model_dir)
    rows = read_table(os.path.join(folder, "run.csv"))
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert rows[0]["learning_rate"] == pytest.approx(
        1e-4 * TrainingOptions(optimizer=options.optimizer).learning_rate(1)
    )
    run = prepare_run(options, [mx.cpu(number) for number in range(options.num_cpus)])
    run.step(*next(run.inputs.train_loader.epoch(0)))
    run.step.meter.collect()
    assert rows[0]["loss"] == pytest.approx(run.step.meter.mean_loss, rel=1e-6)
    with Image.open(os.path.join(folder, "run.png")) as image:
        image.load()
        assert image.width > 600 and image.height > 300 and len(image.convert("RGB").getcolors(1 << 20)) > 10


def test_the_rate_for_the_digits_is_usable(options, three_modules, monkeypatch, capsys):
    """The suggestion is within a factor of 100 of the default, which is known to train. A second test replaces it."""
    small_digits.use(monkeypatch)  # of 8x8 pixels
    options = dataclasses.replace(options, lr_find=True)
    rate = find_learning_rate(options)
    out = capsys.readouterr().out
    assert 0.1 / 100 < rate < 0.1 * 100
    path = os.path.join(options.log_dir, "lr-find", "run")
    assert out.startswith(f"suggested: --lr {rate:.2g}, where the loss falls fastest; it is lowest at ")
    assert out.endswith(f"; {path}.png and .csv\n") and out.count("\n") == 1
    rows = read_table(path + ".csv")
    assert rows[0]["smoothed_loss"] - min(row["smoothed_loss"] for row in rows) > 0.2


@pytest.mark.parametrize("flag", ["lr", "lr_per_256"])
def test_the_suggestion_is_for_the_flag_that_is_used(flag):
    """With four devices and two batches of 16 an update has 128 images, half of 256."""
    test = range_test(RATES, parabola_losses(10))
    options = TrainingOptions(batch_size=16, accumulate=2, **{flag: 0.1})
    value = test.suggestion * (2 if flag == "lr_per_256" else 1)
    written = f"suggested: --{flag.replace('_', '-')} {value:.2g}, where the loss falls fastest; "
    assert describe_test(test, options, 4, "x").startswith(written)


def test_a_test_of_rates_trains_nothing(options):
    with pytest.raises(InputError, match="^lr_find=True: this tests learning rates; call "):
        train(dataclasses.replace(options, lr_find=True))
    code, error = outcome("train", ["--lr-find", "--resume", "models/run"])
    assert code == 2 and error.endswith(
        "--lr-find 1 --resume models/run: rates are tested from the first step on; leave one out\n"
    )
