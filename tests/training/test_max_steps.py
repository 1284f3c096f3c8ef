"""Test runs that end after a number of updates, within an epoch: schedule, validation, resume."""

import dataclasses
import os

import pytest

from helpers.runs import assert_equal_runs, elsewhere, resume, stop_run
from resattnet.commands.training_run import train
from resattnet.experiments.recipe_runs import count_epochs
from resattnet.optimization.schedules import make_schedule
from resattnet.run_options.options import TrainingOptions
from resattnet.runs import states
from resattnet.system.errors import InputError

EPOCH = 4  # steps of an epoch of `options`


@pytest.mark.parametrize(
    "max_steps, epochs, batch, whole", [(1, 1, 1, 0), (4, 1, 0, 1), (6, 2, 2, 1), (12, 3, 0, 3), (99, 3, 0, 3)]
)
def test_a_run_ends_after_its_steps(options, max_steps, epochs, batch, whole):
    run = train(dataclasses.replace(options, max_steps=max_steps))
    steps = min(max_steps, 3 * EPOCH)
    assert (run.progress.step, run.progress.epoch, run.progress.batch) == (steps, whole, batch)
    assert [row["epoch"] for row in run.progress.history] == list(range(1, epochs + 1))
    assert run.progress.history[-1]["step"] == steps == run.step.trainer.optimizer.num_update
    assert sorted(os.listdir(run.folder))[0] == "best.json"
    assert count_epochs(states.load_state(run.folder)) == (epochs, epochs)


def test_the_schedule_ends_with_the_steps():
    given = dict(epochs=100, lr=0.4)
    schedule = make_schedule(TrainingOptions(max_steps=40, **given), 1, 100)
    assert schedule(9) == pytest.approx(0.4) and 0 < schedule(39) < schedule(38) < 0.01
    schedule = make_schedule(TrainingOptions(max_steps=40, min_lr=0.1, **given), 1, 100)
    assert schedule(39) == pytest.approx(0.1)
    schedule = make_schedule(TrainingOptions(max_steps=40, lr_schedule="step", **given), 1, 100)
    assert [schedule(step) for step in (15, 16, 23, 24, 39)] == pytest.approx([0.4, 0.04, 0.04, 0.004, 0.004])
    whole, limited = (make_schedule(TrainingOptions(max_steps=steps, **given), 1, 100) for steps in (None, 10_000))
    assert [whole(step) for step in range(0, 10_000, 99)] == [limited(step) for step in range(0, 10_000, 99)]


def test_a_stopped_run_with_steps_resumes_to_the_same_bits(options, monkeypatch):
    options = dataclasses.replace(options, max_steps=6, mix_up=True, ema=0.9)
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, 5)
    assert_equal_runs(resume(options), whole)


def test_a_finished_run_is_not_trained_again(options, capsys):
    options = dataclasses.replace(options, max_steps=6)
    first = train(options)
    capsys.readouterr()
    again = resume(options)
    assert "all steps of the run (6) are done; a larger --max-steps continues it" in capsys.readouterr().out
    assert_equal_runs(first, again)


def test_more_steps_continue_within_the_epoch(options):
    """All images of the epoch are seen once, and its row replaces that of the part."""
    options = dataclasses.replace(options, max_steps=6)
    train(options)
    run = resume(options, max_steps=10)
    assert [(row["epoch"], row["step"]) for row in run.progress.history] == [(1, 4), (2, 8), (3, 10)]
    assert (run.progress.epoch, run.progress.batch) == (2, 2) and run.step.meter.samples == 2 * 16
    with pytest.raises(InputError, match="^max_steps=7: the run to resume has already done 10$"):
        resume(options, max_steps=7)


def test_no_epoch_is_the_last_of_all_epochs():
    with pytest.raises(InputError, match="^max_steps=5 mixup_off_epochs=2: these are the last of all epochs; "):
        TrainingOptions(max_steps=5, mix_up=True, mixup_off_epochs=2)
