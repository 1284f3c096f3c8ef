"""Test runs that end after N epochs without a new best: `patience`, and how they resume."""

import dataclasses

import pytest

from helpers import small_digits
from helpers.runs import assert_equal_runs, elsewhere, figures, resume, stop_run
from resattnet.commands.training_run import train
from resattnet.experiments.recipe_runs import count_epochs
from resattnet.reports.mask_log import MaskLog
from resattnet.run_options.options import TrainingOptions
from resattnet.runs import states
from resattnet.runs.logs import RunLog
from resattnet.runs.progress import BEST, Progress
from resattnet.system import console
from resattnet.training import loop
from resattnet.training.ending import Ending

TOP1 = [0.5, 0.6, 0.6, 0.4, 0.9]  # of validation after each epoch: new bests are 1, 2 and 5
STEPS = 2  # of an epoch


@pytest.fixture
def scripted(options, monkeypatch):
    """Return options for five epochs of two steps, whose figures of validation are those of `TOP1`."""

    def measure(run, what, averaged=False):
        top1 = run.progress.epoch / 10 if averaged else TOP1[run.progress.epoch]
        return {what + "_loss": 1.0, what + "_top1": top1, what + "_top5": 1.0}

    small_digits.use(monkeypatch, STEPS * options.batch_size, 10)
    monkeypatch.setattr(loop.TrainingLoop, "_measure", measure)
    return dataclasses.replace(options, epochs=len(TOP1))


def ended(patience, top1, **more):
    """Return after how many of 8 epochs a run ends that has these top-1 figures of validation."""
    ending = Ending(TrainingOptions(epochs=8, patience=patience), STEPS)
    progress = Progress()
    for epoch, value in enumerate(top1):
        if ending.is_reached(progress):
            break
        row = dict({name: values[epoch] for name, values in more.items()}, epoch=epoch + 1, validation_top1=value)
        for which in filter(lambda which: progress.surpasses(which, row), BEST):
            progress.set_best(which, row)
        progress.end_epoch(row)
        progress.step += STEPS
    return progress.epoch


@pytest.mark.parametrize("patience, epochs", [(0, 8), (1, 3), (2, 4), (3, 8), (8, 8)])
def test_a_run_ends_after_epochs_without_a_new_best(patience, epochs):
    """An equal top-1 is no new best, as for best.params."""
    top1 = [*TOP1, 0.9, 0.1, 0.1]
    assert ended(patience, top1) == epochs
    falling = [1 - 0.1 * epoch for epoch in range(8)]
    assert ended(patience, falling) == (1 + patience if 0 < patience < 8 else 8)


def test_a_new_best_of_the_moving_average_counts():
    rising = [0.1 * epoch for epoch in range(8)]
    assert ended(1, [0.5] * 8, validation_ema_top1=rising) == 8
    assert ended(2, [0.5] * 8, validation_ema_top1=[0.1, 0.2, 0.3, 0.3, 0.3, 0.9, 0.9, 0.9]) == 5


def test_an_epoch_that_has_begun_is_validated_first():
    """A run is resumed within epoch 4 with less patience; its best was epoch 2."""
    ending = Ending(TrainingOptions(epochs=8, patience=1), STEPS)
    progress = Progress(epoch=3, step=7, batch=1, best={"epoch": 2, "top1": 0.6})
    assert not ending.is_reached(progress) and ending.why_early(progress) == ""
    progress.end_epoch({"epoch": 4})
    assert ending.is_reached(progress)
    assert ending.why_early(progress) == "stopped after epoch 4: no new best in 1 epoch"


def test_an_early_end_is_one_and_more_patience_continues_it(scripted, capsys):
    """The figures are those of the run of all epochs: so is the learning rate."""
    whole = train(elsewhere(scripted, "whole"))
    capsys.readouterr()
    options = dataclasses.replace(scripted, patience=2)
    early = train(options)
    line = "done: best top-1 0.6000, at epoch 2 of 5; stopped after epoch 4: no new best in 2 epochs"
    assert f"\n{line}\n" in capsys.readouterr().out
    assert figures(early) == figures(whole)[:4] and early.progress.best == {"epoch": 2, "top1": 0.6}
    state = states.load_state(early.folder)
    assert (state.progress["epoch"], state.progress["batch"], state.progress["step"]) == (4, 0, 4 * STEPS)
    assert count_epochs(state) == (4, 4)

    again = resume(options)
    line = "stopped after epoch 4: no new best in 2 epochs; a larger --patience continues the run, and --patience 0 to"
    assert f"\n{line} its last epoch\n" in capsys.readouterr().out
    assert_equal_runs(again, early)

    longer = resume(options, patience=3)
    assert longer.progress.epoch == 5 and count_epochs(states.load_state(early.folder)) == (5, 5)
    assert_equal_runs(longer, whole)
    assert "stopped after" not in capsys.readouterr().out


def test_a_quiet_run_says_why_it_ended(scripted, capsys):
    console.set_quiet(True)
    try:
        train(dataclasses.replace(scripted, patience=1))
    finally:
        console.set_quiet(False)
    line = "done: best top-1 0.6000, at epoch 2 of 5; stopped after epoch 3: no new best in 1 epoch"
    assert capsys.readouterr().out == line + "\n"


@pytest.mark.parametrize("step", [2 * STEPS + 1, 3 * STEPS])
def test_a_stop_while_waiting_for_a_new_best_changes_nothing(scripted, monkeypatch, step):
    """The run is stopped within the first of the epochs without a new best, or at its last step."""
    options = dataclasses.replace(scripted, patience=2)
    whole = train(elsewhere(options, "whole"))
    stop_run(options, monkeypatch, step)
    run = resume(options)
    assert run.progress.epoch == 4
    assert_equal_runs(run, whole)


def test_the_best_is_measured_on_the_test_images(scripted):
    """With --val-split, as at the end of all epochs."""
    run = train(dataclasses.replace(scripted, patience=1, val_split=0.3, batch_size=8))
    assert run.progress.epoch == 3
    assert run.progress.test["epoch"] == run.progress.best["epoch"] == 2


def test_the_last_epoch_has_its_masks(scripted, monkeypatch):
    """The masks are drawn after the first epoch and after the last one, also where that comes early."""
    seen = []
    monkeypatch.setattr(MaskLog, "pictures", lambda *_: {})
    monkeypatch.setattr(RunLog, "pictures", lambda _, step, images: seen.append(step))
    train(dataclasses.replace(scripted, patience=2, mask_images=1, mask_period=100))
    assert seen == [STEPS, 4 * STEPS]
