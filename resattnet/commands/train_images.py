"""Train a Residual Attention Network on a folder of images of any size, such as your photographs or ImageNet.

    {command} --data-dir pets --val-fraction 0.1    # pets/CLASS/*.jpg; a tenth of each class is validated on
    {command} --data-dir imagenet --num-layers 56   # imagenet/train/CLASS/... and imagenet/val/CLASS/...
    {command} --data-dir pets --image-size 64 --widths thin --epochs 15    # small images, on a CPU
    {command} --resume models/RUN                   # resume a run that was stopped

The images are read as they are needed: the folder may be larger than the memory. Training images are random parts,
mirrored at random; validation, test and prediction see the middle. A run writes log/board/RUN (TensorBoard),
log/text/RUN.log, log/csv/RUN.csv and models/RUN. Ctrl-C, SIGTERM and SIGHUP (a closed terminal) save and leave; SIGUSR1
saves. Exit codes: 0 done; 2 wrong arguments or input; 129, 130, 143 stopped after saving.
"""

from __future__ import annotations

from typing import Any, Dict

from ..options import command_line
from ..run_options.image_options import ImageTrainingOptions
from .training_arguments import add_training_arguments, train_with


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the training options, and the flags that take them from a run or a recipe."""
    add_training_arguments(parser, ImageTrainingOptions)


def main(given: Dict[str, Any]) -> None:
    """Train to the end of the run."""
    train_with(given, ImageTrainingOptions)
