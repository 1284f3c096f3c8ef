"""Compose the lines that a run logs after each epoch and at its end."""

from __future__ import annotations

import os
from typing import Any, List, Mapping, Tuple

from ..options.command_line import command
from .logs import RunLog
from .progress import Progress, row_accuracy_name


def epoch_line(row: Mapping[str, Any], progress: Progress, epochs: int) -> str:
    """Return an epoch's row as a line for the terminal.

    Parameters
    ----------
    row : mapping
        The figures of an epoch by name.
    progress : progress.Progress
        The run's progress, which says whether the epoch is the best so far.
    epochs : int
        Number of epochs of the run.
    """
    name, marks = row_accuracy_name(row), []
    parts = [
        f"epoch {row['epoch']}/{epochs}",
        f"train loss {row['train_loss']:.4f}",
        f"{name.replace('_', ' ')} {row['train_' + name]:.4f}",
    ]
    for what, best, mark in (("validation", progress.best, "best"), ("validation_ema", progress.best_ema, "best ema")):
        if what + "_loss" in row:
            parts.append(f"{what.replace('_', ' ')} loss {row[what + '_loss']:.4f}")
            parts += [f"top-{k} {row[f'{what}_top{k}']:.4f}" for k in (1, 5)]
            if best == {"epoch": row["epoch"], "top1": row[what + "_top1"]}:
                marks.append(mark)
    return "  ".join(parts + [f"{row['samples_per_second']:.1f} images/s"] + marks)


def best_lines(progress: Progress, epochs: int, early: str = "") -> List[Tuple[str, str]]:
    """Return lines for the best epochs, of the network and of its moving average, each with its parameters' name.

    Parameters
    ----------
    progress : progress.Progress
    epochs : int
        Number of epochs of the run.
    early : str
        Why the run ended before its last epoch; "" if it did not.
    """
    end = f"; {early}" if early else ""
    bests = (("", progress.best, "best"), (" of the moving average", progress.best_ema, "best-ema"))
    return [
        (f"done: best top-1{what} {best['top1']:.4f}, at epoch {best['epoch']} of {epochs}{end}", name)
        for what, best, name in bests
        if best
    ]


def summary(progress: Progress, epochs: int, folder: str, log: RunLog, early: str = "") -> str:
    """Return the lines at the end of a run: its best figures, where its files are, and how to test its parameters.

    Parameters
    ----------
    progress : progress.Progress
    epochs : int
        Number of epochs of the run.
    folder : str
        The run's folder.
    log : RunLog
    early : str
        As for `best_lines`.
    """
    lines: List[str] = []
    for line, name in best_lines(progress, epochs, early):
        lines += [line, f"  model  {os.path.join(folder, name + '.params')}"]
    tested = os.path.join(folder, "best.params" if progress.best else "last.params")
    lines.append(f"  log    {log.text_path} and {log.csv_path}")
    lines.append(f"  board  tensorboard --logdir {os.path.dirname(log.board_dir)}")
    lines.append(f"  test   {command('test')} --params {tested}")
    return "\n".join(lines)
