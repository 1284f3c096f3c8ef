"""Train as the command `train` does, with a fault in rank 1: `python faulty_job.py told|version ARGUMENTS`.

told: rank 1 hangs or fails once the file `fault` of its folder says "hang" or "raise"; version: it has another version.
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

FAULT = sys.argv.pop(1)
step = TrainingStep.__call__


def hang():
    time.sleep(1000)


def fail():
    raise InputError("a/7.jpg: this image cannot be read")


def fault(self, *args):
    if os.path.exists("fault"):
        with open("fault") as stream:
            {"hang": hang, "raise": fail}[stream.read()]()
    step(self, *args)


if launched_rank(os.environ) == 1:
    if FAULT == "version":
        processes.__version__ = "0.0.1"
    else:
        TrainingStep.__call__ = fault
run("train")
