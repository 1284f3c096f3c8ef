"""Train a small network on a few noise records in a process of its own, as users do."""

import os
import subprocess
import sys
import time

import numpy as np

from helpers.scripts import ROOT
from resattnet.data.image_set import ImageSet
from resattnet.datasets import record_writer

# What takes time in such runs is the number of parameters: this network has half of them.
FLAGS = (
    "--dataset noise --data-format rec --data-dir . --widths thin --mask none -b 16 --warmup-epochs 0 --num-gpus 0"
).split()


def write_noise_records(folder, seed=0):
    """Write records of a few small images, so that the whole script trains in seconds."""
    rng = np.random.default_rng(seed)
    sets = {
        split: ImageSet(
            rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8),
            rng.integers(0, 5, count).astype(np.int32),
            tuple("abcde"),
        )
        for split, count in (("train", 64), ("test", 20))
    }
    record_writer.write_records(str(folder), "noise", sets, "noise", (0.5,) * 3, (0.3,) * 3, True)


def start(folder, *flags, threads=1, **kwargs):
    """Start the training script in a folder; its output goes to `out.txt` there, unless `kwargs` say otherwise."""
    command = [sys.executable, os.path.join(ROOT, "scripts", "cifar10_train.py")] + [str(flag) for flag in flags]
    # Waiting threads sleep: otherwise they would take the cores from working threads while other tests run.
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive")
    with open(os.path.join(str(folder), "out.txt"), "a") as out:
        defaults = dict(cwd=str(folder), stdout=out, stderr=subprocess.STDOUT, env=environment)
        return subprocess.Popen(command, **{**defaults, **kwargs})


def begin(folder, *flags, **kwargs):
    """Start a run on the noise records that lasts longer than any test, and wait until its first epoch has ended.

    The run is called `run` and saves its state after each epoch only.
    """
    process = start(folder, *FLAGS, "--epochs", 10000, "--name", "run", "--save-minutes", 1000, *flags, **kwargs)
    wait_until(lambda: os.path.exists(os.path.join(str(folder), "log", "csv", "run.csv")), process, folder)
    return process


def wait_until(condition, process, folder, seconds=120):
    """Wait until a condition holds. The process must run until then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, said(folder)
        time.sleep(0.02)


def said(folder):
    """Return the output of the processes that were started in a folder."""
    with open(os.path.join(str(folder), "out.txt")) as out:
        return out.read()
