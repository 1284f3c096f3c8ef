"""Test runs that end after N epochs without a new best: `patience`, and how they resume."""

import dataclasses
import os
import signal

import pytest

from helpers.runs import assert_equal_runs, elsewhere, figures, resume, stop_run
from resattnet.commands.training_run import train
from resattnet.experiments.recipe_runs import count_epochs
from resattnet.reports.mask_log import MaskLog
from resattnet.runs import states
from resattnet.runs.logs import RunLog
from resattnet.system import console
from resattnet.training import loop

TOP1 = [0.5, 0.6, 0.6, 0.4, 0.9, 0.9, 0.1, 0.1]  # of validation after each epoch: new bests are 1, 2 and 5
STEPS = 4  # of an epoch


@pytest.fixture
def scripted(options, monkeypatch):
    """Return options for eight epochs, whose figures of validation are those of `TOP1`."""

    def measure(run, what, averaged=False):
        top1 = run.progress.epoch / 10 if averaged else TOP1[run.progress.epoch]
        return {what + "_loss": 1.0, what + "_top1": top1, what + "_top5": 1.0}

    monkeypatch.setattr(loop.TrainingLoop, "_measure", measure)
    return dataclasses.replace(options, epochs=len(TOP1))


@pytest.mark.parametrize("patience, epochs", [(0, 8), (1, 3), (2, 4), (3, 8), (8, 8)])
def test_a_run_ends_after_epochs_without_a_new_best(scripted, patience, epochs):
    """An equal top-1 is no new best, as for best.params."""
    run = train(dataclasses.replace(scripted, patience=patience))
    assert [row["epoch"] for row in run.progress.history] == list(range(1, epochs + 1))
    assert run.progress.best["epoch"] == (2 if epochs < 5 else 5)
    state = states.load_state(run.folder)
    assert (state.progress["epoch"], state.progress["batch"]) == (epochs, 0)
    assert count_epochs(state) == (epochs, epochs)


def test_the_summary_says_why(scripted, capsys):
    train(dataclasses.replace(scripted, patience=2))
    out = capsys.readouterr().out
    line = "done: best top-1 0.6000, at epoch 2 of 8; stopped after epoch 4: no new best in 2 epochs"
    assert f"\n{line}\n" in out and out.count("stopped after") == 1
    console.set_quiet(True)
    try:
        train(elsewhere(scripted, "quiet", patience=1))
    finally:
        console.set_quiet(False)
    line = "done: best top-1 0.6000, at epoch 2 of 8; stopped after epoch 3: no new best in 1 epoch"
    assert capsys.readouterr().out == line + "\n"


def test_the_learning_rate_is_that_of_all_epochs(scripted):
    whole, early = train(elsewhere(scripted, "whole")), train(dataclasses.replace(scripted, patience=2))
    assert figures(early) == figures(whole)[:4]


def test_a_new_best_of_the_moving_average_counts(scripted):
    """The moving average of this run is better after each epoch."""
    run = train(dataclasses.replace(scripted, patience=1, ema=0.9))
    assert (run.progress.epoch, run.progress.best["epoch"], run.progress.best_ema["epoch"]) == (8, 5, 8)


def test_an_ended_run_stays_ended_and_says_what_continues_it(scripted, capsys):
    options = dataclasses.replace(scripted, patience=2)
    first = train(options)
    capsys.readouterr()
    again = resume(options)
    out = capsys.readouterr().out
    line = "stopped after epoch 4: no new best in 2 epochs; a larger --patience continues the run, and --patience 0 to"
    assert f"{line} its last epoch" in out
    assert "done: best top-1 0.6000, at epoch 2 of 8; stopped after epoch 4" in out
    assert_equal_runs(first, again)


@pytest.mark.parametrize("patience, epochs", [(3, 8), (0, 8)])
def test_more_patience_continues_to_the_same_bits(scripted, patience, epochs):
    whole = train(elsewhere(scripted, "whole", patience=patience))
    options = dataclasses.replace(scripted, patience=2)
    assert train(options).progress.epoch == 4
    run = resume(options, patience=patience)
    assert run.progress.epoch == epochs
    assert_equal_runs(run, whole)


@pytest.mark.parametrize("step", [2 * STEPS + 2, 3 * STEPS, 3 * STEPS + 1])
def test_a_stop_while_waiting_for_a_new_best_changes_nothing(scripted, monkeypatch, step):
    """The run is stopped in the first or second of the epochs without a new best, or between them."""
    options = dataclasses.replace(scripted, patience=2)
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, step, signal.SIGTERM)
    run = resume(options)
    assert run.progress.epoch == 4
    assert_equal_runs(run, whole)


def test_less_patience_waits_for_the_end_of_the_epoch(scripted, monkeypatch):
    """The run is stopped in epoch 4 after a best in epoch 2; its patience is then 1."""
    stop_run(scripted, monkeypatch, 3 * STEPS + 1)
    run = resume(scripted, patience=1)
    assert (run.progress.epoch, run.progress.batch) == (4, 0)


def test_the_best_is_measured_on_the_test_images(options):
    """The run is not scripted: with a learning rate this low, its first epoch is its best."""
    run = train(dataclasses.replace(options, epochs=6, patience=1, lr=1e-10, val_split=0.3))
    assert run.progress.epoch < 6
    assert run.progress.test["epoch"] == run.progress.best["epoch"]
    assert os.path.exists(os.path.join(run.folder, "best.params"))


def test_the_last_epoch_has_its_masks(scripted, monkeypatch):
    """The masks are drawn after the first epoch and after the last one, also where that comes early."""
    seen = []
    monkeypatch.setattr(MaskLog, "pictures", lambda *_: {})
    monkeypatch.setattr(RunLog, "pictures", lambda _, step, images: seen.append(step))
    train(dataclasses.replace(scripted, patience=2, mask_images=1, mask_period=100))
    assert seen == [STEPS, 4 * STEPS]
