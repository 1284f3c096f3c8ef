"""Tests for runs in processes of their own: what others do to a run while it trains, and how it ends."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from helpers import live_runs
from helpers.live_runs import FLAGS, begin, said, start, wait_until
from helpers.scripts import ROOT
from resattnet.runs import states


@pytest.fixture
def folder(tmp_path):
    """Return a folder with noise records."""
    live_runs.write_noise_records(tmp_path)
    return tmp_path


def ended(process, seconds=60):
    """Return the exit code of a process; it is killed if it does not end."""
    try:
        return process.wait(seconds)
    finally:
        process.kill()


@pytest.mark.slow
def test_two_runs_started_at_once_do_not_share_a_folder(folder):
    """With one name the later is told who trains; without a name each gets a folder of its own."""
    flags = [*FLAGS, "--epochs", 1]
    named = [start(folder, *flags, "--name", "run") for _ in range(2)]
    codes = [ended(process) for process in named]
    assert sorted(codes) == [0, 2], said(folder)
    winner = named[codes.index(0)].pid
    assert (
        f"models/run exists already: another process ({winner}) trains this run; give another --name" in said(folder)
    ) or "models/run exists already: continue that run by --resume" in said(folder)
    assert "Traceback" not in said(folder) and "killed" not in said(folder)

    environment = dict(os.environ, PYTHONPATH=str(folder), OMP_NUM_THREADS="1")
    (folder / "sitecustomize.py").write_text(
        "import time\nstrftime = time.strftime\n"
        "time.strftime = lambda form, *args: '20260101-120000' if '-%H' in form else strftime(form, *args)\n"
    )
    unnamed = [start(folder, *flags, env=environment) for _ in range(2)]
    assert [ended(process) for process in unnamed] == [0, 0], said(folder)
    names = sorted(os.listdir(str(folder / "models")))
    assert len(names) == 3 and names[1] == names[0] + "-2", names
    for kind, suffix in (("csv", ".csv"), ("text", ".log"), ("board", "")):
        assert set(os.listdir(str(folder / "log" / kind))) == {name + suffix for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("replaced", [False, True])
def test_a_run_whose_folder_is_removed_ends_and_writes_over_nothing(folder, replaced):
    process = begin(folder)
    run = folder / "models" / "run"
    shutil.rmtree(str(run), ignore_errors=True)
    if replaced:  # another run of that name
        os.makedirs(str(run), exist_ok=True)
        for name in ("last.state", "training.tmp", "best.params"):
            (run / name).write_text("another run's")
    assert ended(process) == 2
    lines = said(folder).splitlines()
    assert lines[-1] == (
        "cifar10_train.py: models/run: the folder, or training.tmp in it, was removed or replaced while the run "
        "trained; the run ends here, and writes nothing more to the folder"
    )
    assert "Traceback" not in said(folder)
    if replaced:
        assert {path.read_text() for path in run.iterdir()} == {"another run's"}
    else:
        assert not run.exists()


def saved_step(folder):
    return states.load_state(str(folder / "models" / "run"), with_arrays=False).progress["step"]


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as handle:
        return [int(number) for number in handle.read().split()]


def assert_stopped_and_saved(folder):
    """Check that the last line says that all is saved, and that it is."""
    last = said(folder).splitlines()[-1]
    found = re.fullmatch(
        r"cifar10_train.py: stopped after step (\d+), all saved; resume with: --resume models/run", last
    )
    assert found, said(folder)
    assert int(found.group(1)) == saved_step(folder)


@pytest.mark.slow
def test_a_warning_of_the_end_saves_and_a_lost_terminal_saves_and_ends(folder):
    process = begin(folder)
    process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "as SIGUSR1 asks" in said(folder), process, folder)
    step = int(re.search(r"saved after step (\d+), as SIGUSR1 asks; the run goes on", said(folder)).group(1))
    assert saved_step(folder) >= step
    wait_until(lambda: saved_step(folder) > step, process, folder)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert ended(process) == 129
    assert_stopped_and_saved(folder)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the workers are found in /proc")
def test_a_stopped_worker_does_not_hold_up_the_end(folder):
    process = begin(folder, "--workers", 2)
    os.kill(children(process)[0], signal.SIGSTOP)
    time.sleep(1)  # the run now waits for its batch
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended(process) == 143
    assert time.monotonic() - begun < 20
    assert_stopped_and_saved(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_the_workers_too_is_one_to_the_run(folder, number):
    """A terminal and a cluster send their signals to all processes of a job."""
    process = begin(folder, "--workers", 2, start_new_session=True)
    os.killpg(process.pid, number)
    if number == signal.SIGUSR1:
        wait_until(lambda: "as SIGUSR1 asks" in said(folder), process, folder)
        step = saved_step(folder)
        wait_until(lambda: saved_step(folder) > step, process, folder)
        number = signal.SIGTERM
        os.killpg(process.pid, number)
    assert ended(process) == 128 + number
    assert_stopped_and_saved(folder)


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed_saves_and_ends(folder):
    """With the terminal go its streams, with the bar in the middle of an epoch."""
    ours, theirs = pty.openpty()
    own_terminal = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    script = os.path.join(ROOT, "scripts", "cifar10_train.py")
    words = [*FLAGS, "--epochs", "10000", "--name", "run", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", own_terminal + "os.execv(sys.executable, [sys.executable] + sys.argv[1:])", script]
        + words,
        cwd=str(folder),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while b"epoch 2/10000  " not in shown:
        shown += os.read(ours, 4096)
    os.close(ours)
    assert ended(process) == 129
    log = (folder / "log" / "text" / "run.log").read_text()
    step = int(re.search(r"stopped after step (\d+), all saved; resume with: --resume models/run\n$", log).group(1))
    assert saved_step(folder) == step
