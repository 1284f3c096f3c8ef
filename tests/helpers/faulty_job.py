"""Train as the command `train` does, with a fault in rank 1: `python faulty_job.py told|version ARGUMENTS`.

told: after the first epoch, rank 1 hangs or fails if the file `fault` of its folder says "hang" or "raise", and waits
until the file is gone if it says "wait". version: it has another version.
"""

import os
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.dirname(TESTS), TESTS]

from resattnet.commands import run  # noqa: E402
from resattnet.distributed.environment import launched_rank  # noqa: E402
from resattnet.system.errors import InputError  # noqa: E402
from resattnet.training import processes  # noqa: E402
from resattnet.training.step import TrainingStep  # noqa: E402

FAULT, FIRST = sys.argv.pop(1), 3  # the first step of the second epoch
step = TrainingStep.__call__
steps = []


def hang():
    time.sleep(1000)


def fail():
    raise InputError("a/7.jpg: this image cannot be read")


def wait():
    while os.path.exists("fault"):
        time.sleep(0.05)


def fault(self, *args):
    steps.append(1)
    if len(steps) >= FIRST and os.path.exists("fault"):
        with open("fault") as stream:
            {"hang": hang, "raise": fail, "wait": wait}[stream.read()]()
    step(self, *args)


if launched_rank(os.environ) == 1:
    if FAULT == "version":
        processes.__version__ = "0.0.1"
    else:
        TrainingStep.__call__ = fault
run("train")
