"""Tests for the lines and numbers that a run logs after each epoch and at the end of the run."""

from types import SimpleNamespace

import pytest

from resattnet.options.command_line import command
from resattnet.runs import board, log_lines
from resattnet.runs.progress import BEST, Progress, accuracy_name, row_accuracy_name

ROWS = [
    {
        "epoch": 1,
        "train_loss": 2.0,
        "train_accuracy": 0.25,
        "validation_loss": 1.5,
        "validation_top1": 0.5,
        "validation_top5": 0.75,
        "samples_per_second": 30.0,
    },
    {
        "epoch": 2,
        "train_loss": 1.0,
        "train_accuracy": 0.5,
        "validation_loss": 1.25,
        "validation_top1": 0.5,
        "validation_top5": 1.0,
        "samples_per_second": 31.0,
    },
]
AVERAGE = {"validation_ema_loss": 1.125, "validation_ema_top1": 0.625, "validation_ema_top5": 0.875}
LOG = SimpleNamespace(text_path="log/text/r.log", csv_path="log/csv/r.csv", board_dir="log/board/r")


def progress_after(rows):
    """Yield the run's progress and the epoch's row after each epoch."""
    progress = Progress(epoch=0)
    for row in rows:
        progress.end_epoch(row)
        for which in filter(lambda which: progress.surpasses(which, row), BEST):
            progress.set_best(which, row)
        yield progress, row


def test_lines_of_epochs():
    lines = [log_lines.epoch_line(row, progress, 9) for progress, row in progress_after(ROWS)]
    assert lines == [
        "epoch 1/9  train loss 2.0000  accuracy 0.2500  validation loss 1.5000  top-1 0.5000  top-5 0.7500"
        "  30.0 images/s  best",
        "epoch 2/9  train loss 1.0000  accuracy 0.5000  validation loss 1.2500  top-1 0.5000  top-5 1.0000"
        "  31.0 images/s",
    ]
    mixed = dict(ROWS[0], **AVERAGE)
    mixed["train_accuracy_heavier_label"] = mixed.pop("train_accuracy")
    (line,) = [log_lines.epoch_line(row, progress, 9) for progress, row in progress_after([mixed])]
    assert "  accuracy heavier label 0.2500  " in line
    assert line.endswith("  validation ema loss 1.1250  top-1 0.6250  top-5 0.8750  30.0 images/s  best  best ema")


@pytest.mark.parametrize("mixes_labels, name", [(False, "accuracy"), (True, "accuracy_heavier_label")])
def test_the_training_accuracy_says_what_it_is_counted_against(mixes_labels, name):
    assert accuracy_name(mixes_labels) == name
    assert row_accuracy_name({"train_loss": 1.0, "train_" + accuracy_name(mixes_labels): 0.5}) == name


def test_curves_of_an_epoch():
    assert board.epoch_curves(dict(ROWS[0], **AVERAGE)) == {
        "": {"accuracy/validation_top5": 0.75, "accuracy/validation_ema_top5": 0.875},
        "train": {board.LOSS: 2.0, board.ACCURACY: 0.25},
        "validation": {board.LOSS: 1.5, board.ACCURACY: 0.5},
        "validation_ema": {board.LOSS: 1.125, board.ACCURACY: 0.625},
    }
    mixed = dict(ROWS[0])
    mixed["train_accuracy_heavier_label"] = mixed.pop("train_accuracy")
    curves = board.epoch_curves(mixed)
    assert curves["train"] == {board.LOSS: 2.0} and curves["train_heavier_label"] == {board.ACCURACY: 0.25}


def test_the_best_are_the_first_of_equals_and_their_files_are_named():
    progress = [progress for progress, _ in progress_after([ROWS[0], dict(ROWS[1], **AVERAGE)])][-1]
    assert progress.best == {"epoch": 1, "top1": 0.5} and progress.best_ema == {"epoch": 2, "top1": 0.625}
    lines = log_lines.summary(progress, 9, "models/r", LOG).splitlines()
    assert lines[:4] == [
        "done: best top-1 0.5000, at epoch 1 of 9",
        "  model  models/r/best.params",
        "done: best top-1 of the moving average 0.6250, at epoch 2 of 9",
        "  model  models/r/best-ema.params",
    ]
    assert lines[4:] == [
        "  log    log/text/r.log and log/csv/r.csv",
        "  board  tensorboard --logdir log/board",
        f"  test   {command('test')} --params models/r/best.params",
    ]
    progress.best = progress.best_ema = None  # as if neither file could be saved
    assert log_lines.summary(progress, 9, "models/r", LOG).splitlines()[-1].endswith("--params models/r/last.params")
