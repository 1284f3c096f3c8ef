"""Start jobs of several processes by the command `launch`, as users do."""

import glob
import os
import subprocess
import sys
import time

import numpy as np

from helpers.scripts import ROOT
from resattnet.runs import states

# What takes time in such runs is the number of parameters: these networks have a third of them.
FLAGS = (
    "--dataset noise --data-format rec --data-dir . --widths tiny --unit basic --mask none -b 16 --warmup-epochs 0 "
    "--num-gpus 0"
).split()
FROZEN = os.path.join(ROOT, "tests", "helpers", "frozen_job.py")
SMALL = os.path.join(ROOT, "tests", "helpers", "small_job.py")
SUMS = os.path.join(ROOT, "tests", "helpers", "sums_job.py")
EXACT = (
    "--dataset digits --widths thin --params packaged --num-gpus 0 --lr 2e-4 --warmup-epochs 0 --max-steps 5".split()
)
LAUNCHED = ("RESATTNET_", "DMLC_", "HOROVOD_", "SLURM_", "OMPI_")


def environment(**more):
    """Return the environment of a job: threads that wait sleep, and no launcher has started this process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHED)}
    return dict(kept, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", PYTHONPATH=ROOT, **more)


def launch(folder, *words, **kwargs):
    """Start `launch` with some words in a folder; its output goes to `job.txt` there."""
    command = [sys.executable, os.path.join(ROOT, "scripts", "launch.py"), *map(str, words)]
    with open(os.path.join(str(folder), "job.txt"), "w") as out:
        return subprocess.Popen(
            command, cwd=str(folder), stdout=out, stderr=subprocess.STDOUT, **{"env": environment(), **kwargs}
        )


def finish(job, folder, seconds=400):
    """Wait for a job, which is killed if it takes too long; return its exit code and its output."""
    try:
        code = job.wait(seconds)
    finally:
        job.kill()
        job.wait()
    return code, said(folder)


def said(folder):
    """Return the output of the last job in a folder."""
    with open(os.path.join(str(folder), "job.txt")) as stream:
        return stream.read()


def run(folder, *words, **kwargs):
    """Run a job to its end; return its exit code and its output."""
    return finish(launch(folder, *words, **kwargs), folder)


def arrays(folder, name):
    """Return the arrays of the last state of a run."""
    return states.load_state(os.path.join(str(folder), "models", name)).arrays


def assert_same_bits(one, other):
    """Check that two states, or two networks, have the same arrays by name."""
    assert set(one) == set(other)
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []


def members(job):
    """Return the processes that a launcher has started: process ids by role and rank, "worker 1"."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as stream:
                own = dict(item.split(b"=", 1) for item in stream.read().split(b"\0") if b"=" in item)
            with open(path.replace("environ", "stat")) as stream:
                parent = int(stream.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == job.pid and b"DMLC_ROLE" in own:
            role, number = own[b"DMLC_ROLE"].decode(), own.get(b"DMLC_WORKER_ID", b"").decode()
            found[f"{role} {number}".strip()] = int(path.split("/")[2])
    return found


def is_running(pid):
    """Return whether a process exists and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, job, folder, seconds=150):
    """Wait until a condition holds; the job must run until then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert job.poll() is None and time.monotonic() < deadline, said(folder)
        time.sleep(0.05)


def alone(folder, *words):
    """Run a Python file in one process, without a launcher."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def history(folder, name):
    """Return the figures of each epoch of a run but for its speed."""
    rows = states.load_state(os.path.join(str(folder), "models", name)).progress["history"]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def ran(done):
    """Return the output of a job, whose exit code must be 0."""
    code, output = done
    assert code == 0, output
    return output


def assert_same_training(one, other, tolerance=1e-5):
    """Check that two states have the same parameters and momenta, which the training has moved by much more."""
    names = [name for name in one if name.startswith(("parameter/", "optimizer/")) and "running" not in name]
    assert len(names) > 100
    apart = {name: np.abs(one[name] - other[name]).max() for name in names}
    assert max(apart.values()) <= tolerance, max(apart, key=apart.get)
    momenta = [np.abs(one[name]).max() for name in names if name.startswith("optimizer/")]
    assert max(momenta) > 20 * tolerance
