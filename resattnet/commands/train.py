"""Train a Residual Attention Network on CIFAR-10, CIFAR-100, the embedded digits or your own images.

    {command} --num-layers 92 --mix-up 1         # the real job: CIFAR-10, with mixup
    {command} --dataset digits --widths thin --epochs 5 -b 32    # no download, minutes on a CPU
    {command} --resume models/RUN                # resume a run that was stopped
    {command} --recipe paper-56 --seed 1         # the flags of a recipe, with another seed

A run writes log/board/RUN (TensorBoard), log/text/RUN.log, log/csv/RUN.csv and models/RUN. Ctrl-C, SIGTERM and
SIGHUP (a closed terminal) save and leave; SIGUSR1 saves. Exit codes: 0 done; 2 wrong arguments or input; 129, 130, 143
stopped after saving.
"""

from __future__ import annotations

from typing import Any, Dict

from ..options import command_line
from ..run_options.options import TrainingOptions
from .training_arguments import add_training_arguments, train_with


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the training options, and the flags that take them from a run or a recipe."""
    add_training_arguments(parser, TrainingOptions)


def main(given: Dict[str, Any]) -> None:
    """Train to the end of the run."""
    train_with(given, TrainingOptions)
