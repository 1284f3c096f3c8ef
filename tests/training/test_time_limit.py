"""Test runs with a time limit: the length that is chosen, its schedule, and that nothing else of the run changes."""

import dataclasses
import os
import re
import time

import pytest

from helpers import live_runs
from helpers.live_runs import said
from helpers.runs import assert_equal_runs, elsewhere, resume, stop_run
from resattnet.commands.training_run import train
from resattnet.experiments import recipe_runs, recipes
from resattnet.machine.mxnet import mx
from resattnet.optimization.schedules import learning_rate_schedule, make_schedule
from resattnet.run_options.options import TrainingOptions
from resattnet.runs import states
from resattnet.system.errors import InputError
from resattnet.training import time_limit
from resattnet.training.inputs import open_inputs
from resattnet.training.time_limit import Costs, choose_length, shorten

COSTS = Costs(once=10, step=1, between=5)  # an epoch of 20 steps takes 25 seconds


@pytest.mark.parametrize(
    "seconds, epochs", [(10 + 25, 1), (10 + 7 * 25 - 0.1, 6), (10 + 7 * 25, 7), (10 + 7 * 25 + 24.9, 7), (1e9, 30)]
)
def test_the_longest_run_that_fits_is_chosen(seconds, epochs):
    options = TrainingOptions(time_limit="1h", epochs=30)
    chosen = choose_length(options, 20, COSTS, seconds)
    assert (chosen.epochs, chosen.max_steps) == (epochs, None)
    assert COSTS.total(chosen.steps(20), chosen.epochs) <= seconds
    assert chosen == dataclasses.replace(options, epochs=epochs)


def test_the_schedule_is_whole():
    """It has a warm-up of its own, its highest rate, and the rate of its last step."""
    chosen = choose_length(TrainingOptions(time_limit="1h", lr=0.4, min_lr=0.01), 20, COSTS, 10 + 25 * 8)
    schedule = make_schedule(chosen, 1, 20)
    wanted = learning_rate_schedule("cosine", 0.4, 8 * 20, 2 * 20, min_lr=0.01)
    assert [schedule(step) for step in range(160)] == [wanted(step) for step in range(160)]
    assert max(map(schedule, range(160))) == schedule(39) == pytest.approx(0.4)
    assert schedule(159) == pytest.approx(0.01) and schedule(158) > 0.01


@pytest.mark.parametrize(
    "given, epochs, scaled",
    [
        (dict(lr_steps=(80, 120)), 50, dict(lr_steps=(20, 30))),
        (dict(lr_steps=(80, 120), warmup_epochs=10), 20, dict(lr_steps=(8, 12), warmup_epochs=1)),
        (dict(lr_steps=(80, 120), warmup_epochs=10), 2, dict(lr_steps=(1,), warmup_epochs=1)),
        (dict(lr_restarts=(20, 60), lr_restart_factor=0.5), 50, dict(lr_restarts=(6, 15), lr_restart_factor=0.5)),
        (dict(lr_restarts=(20, 60), lr_restart_factor=0.5), 3, dict(lr_restarts=(1,), lr_restart_factor=0.5)),
        (dict(lr_restarts=(20,), lr_restart_factor=0.5), 1, dict(lr_restarts=None, lr_restart_factor=1.0)),
        (dict(mix_up=True, mixup_off_epochs=20), 50, dict(mixup_off_epochs=5)),
        (dict(mix_up=True, mixup_off_epochs=20), 1, dict(mixup_off_epochs=0)),
        (dict(warmup_epochs=0), 10, dict(warmup_epochs=0)),
    ],
)
def test_given_epochs_are_scaled(given, epochs, scaled):
    shorter = shorten(TrainingOptions(**given), epochs)
    assert {name: getattr(shorter, name) for name in scaled} == scaled and shorter.epochs == epochs


def test_a_limit_below_an_epoch_ends_within_it():
    options = TrainingOptions(time_limit="1h", mix_up=True, mixup_off_epochs=20)
    chosen = choose_length(options, 20, COSTS, 10 + 5 + 12.5)
    assert (chosen.epochs, chosen.max_steps, chosen.mixup_off_epochs) == (1, 12, 0)
    with pytest.raises(InputError, match=r"^time_limit=1h: not even one step, .* fits; give at least 2.0 s more$"):
        choose_length(options, 20, COSTS, 14)


def test_steps_that_are_given_are_kept():
    options = TrainingOptions(time_limit="1h", max_steps=30)
    assert choose_length(options, 20, COSTS, 10 + 30 + 10) == options
    assert choose_length(options, 20, COSTS, 10 + 30 + 9).steps(20) == 20
    assert choose_length(dataclasses.replace(options, max_steps=7), 20, COSTS, 10 + 5 + 6).steps(20) == 6


@pytest.mark.parametrize("text", ["8", "8x", "h", "0s", "", "-1h", "1h 30"])
def test_a_wrong_time_is_refused(text):
    with pytest.raises(InputError, match=re.escape("give a duration with its units, such as 8h, 90m, 3600s or 1h30m")):
        TrainingOptions(time_limit=text)


def fake(monkeypatch, costs):
    """Make a run find these costs."""
    monkeypatch.setattr(time_limit, "measure", lambda *_: costs)


def test_the_run_ends_with_its_schedule(options, monkeypatch, capsys):
    """Of 100 seconds, 5 are kept and 20 are gone. Of the 75 left, an epoch of 4 steps takes 14, and 3 are once."""
    fake(monkeypatch, Costs(3, 3, 2))
    limited = dataclasses.replace(options, time_limit="100s", epochs=50, lr=0.2, warmup_epochs=None)
    run = train(limited, began=time.monotonic() - 20)
    assert run.options.epochs == 5 and run.progress.epoch == 5 and run.progress.step == 20
    assert run.schedule(19) == learning_rate_schedule("cosine", 0.2, 20, 4)(19) < run.schedule(18)
    assert run.progress.history[-1]["learning_rate"] == run.schedule(19)
    said = capsys.readouterr().out
    line = "note: --time-limit 100s: 5 of 50 epochs fit, and take 1 min 13 s of the 1 min 15 s left: "
    assert f"{line}3 s a step, 4 steps an epoch, 2 s for validation and saving\n" in said


@pytest.mark.parametrize("changes", [{}, dict(mix_up=True, mixup_off_epochs=25, ema=0.9, val_split=0.3, workers=1)])
def test_measuring_changes_no_bit_of_the_run(options, monkeypatch, changes):
    """The run equals one whose length was given."""
    monkeypatch.setattr(time_limit, "choose_length", lambda options, *_: shorten(options, 2))
    limited = train(dataclasses.replace(options, time_limit="1h", epochs=50, **changes))
    off = 1 if changes else 0
    plain = train(elsewhere(options, "plain", **dict(changes, epochs=2, mixup_off_epochs=off)))
    assert_equal_runs(limited, plain)
    assert limited.progress.best == plain.progress.best and limited.progress.test == plain.progress.test
    assert sorted(os.listdir(limited.folder)) == sorted(os.listdir(plain.folder))
    assert sorted(os.listdir(options.model_dir)) == ["plain", "run"]


def test_a_resumed_run_keeps_its_length(options, monkeypatch):
    fake(monkeypatch, Costs(3, 3, 2))
    limited = dataclasses.replace(options, time_limit="50s", epochs=50)
    whole = train(elsewhere(limited, "whole"))
    assert whole.options.epochs == 3
    stop_run(limited, monkeypatch, 6)
    monkeypatch.setattr(time_limit, "measure", None)
    run = resume(limited)
    assert run.options.epochs == 3 and run.deadline is None
    assert_equal_runs(run, whole)
    with pytest.raises(InputError, match="^time_limit=8h: the run to resume has time_limit=50s, which cannot change$"):
        resume(limited, time_limit="8h")
    assert resume(limited, epochs=4).progress.epoch == 4


def test_costs_are_measured(options):
    """All are times above 0, that of the first step is longer than the others, and nothing is left on the disk."""
    run = dataclasses.replace(options, time_limit="10s")
    costs = time_limit.measure(run, open_inputs(run, [mx.cpu()]), [mx.cpu()])
    assert costs.once > costs.step > 0 and costs.between > 0
    assert os.listdir(options.model_dir) == []


def test_a_run_that_will_be_late_says_so_once(options, monkeypatch, capsys):
    fake(monkeypatch, Costs(0.1, 0.1, 0.1))
    monkeypatch.setattr(time_limit, "choose_length", lambda options, *_: options)
    train(dataclasses.replace(options, time_limit="10s"), began=time.monotonic() - 100)
    out = capsys.readouterr().out
    assert out.count("warning: at this speed the run ends 1 min ") == 1 and out.count("after its --time-limit") == 1


def test_the_run_of_a_recipe_with_a_time_limit_is_recognised(options, monkeypatch):
    fake(monkeypatch, Costs(3, 3, 2))
    run = train(dataclasses.replace(options, time_limit="50s", epochs=50))
    flags = (
        "--dataset digits --widths thin --epochs 50 --time-limit 50s -b 16 --warmup-epochs 1 --num-gpus 0 "
        f"--log-dir {options.log_dir} --model-dir {options.model_dir}"
    )
    recipe = recipes.Recipe(**dict({name: "" for name in recipes.Recipe._fields}, name="run", flags=flags))
    state = recipe_runs.load_run(recipe, run.folder)
    assert recipe_runs.count_epochs(state) == (3, 3)
    other = recipe._replace(flags=flags.replace("--time-limit 50s ", ""))
    with pytest.raises(InputError, match="is not a run of recipe run, which has epochs=50 where the run has 3"):
        recipe_runs.load_run(other, run.folder)


@pytest.mark.slow
def test_a_run_ends_within_its_time(tmp_path):
    """The whole command takes no longer than its limit, and uses most of it; another load slows it down later."""
    live_runs.write_noise_records(tmp_path)
    begun = time.monotonic()
    process = live_runs.start(
        tmp_path, *live_runs.FLAGS, "--epochs", 10000, "--name", "run", "--time-limit", "20s", "--lr", 0.01
    )
    assert process.wait(120) == 0, said(tmp_path)
    assert 8 < time.monotonic() - begun < 24, said(tmp_path)
    state = states.load_state(str(tmp_path / "models" / "run"))
    assert state.progress["epoch"] == state.options["epochs"] < 10000
    assert state.progress["history"][-1]["learning_rate"] < 0.01 / 20
