"""Test that a run in several processes is the run of one, with MXNet's parameter servers on this machine."""

import os
import re
import signal
import sys
import time

import numpy as np
import pytest

from helpers import live_runs
from helpers.jobs import (
    EXACT,
    FLAGS,
    FROZEN,
    alone,
    arrays,
    assert_same_bits,
    assert_same_training,
    finish,
    history,
    is_running,
    launch,
    members,
    ran,
    run,
    said,
    wait_until,
)
from resattnet.runs import states

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each starts up to twenty processes

# `make fuzz` tries all; the others take the same ways.
ALL = os.environ.get("RESATTNET_FUZZ") == "full"
STORES = ["dist_sync", "dist_device_sync"] if ALL else ["dist_sync"]
VICTIMS = ["worker 0", "worker 1", "server", "scheduler"] if ALL else ["worker 1", "server"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with noise records: 64 training images, 20 test images."""
    live_runs.write_noise_records(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kvstore", STORES)
def test_two_processes_with_half_of_the_batch_train_as_one(tmp_path, kvstore):
    """Also: the first gradients are of the parameters of all; a race there shows in about every third run."""
    output = ran(run(tmp_path, "-n", 2, FROZEN, *EXACT, "-b", 32, "--name", "two", "--kvstore", kvstore))
    alone(tmp_path, FROZEN, *EXACT, "-b", 64, "--name", "one")
    assert_same_training(arrays(tmp_path, "one"), arrays(tmp_path, "two"))
    (row,), (expected,) = history(tmp_path, "two"), history(tmp_path, "one")
    assert set(row) == set(expected)
    for name, value in expected.items():
        assert abs(row[name] - value) < 1e-4, name
    assert "1437 training and 360 validation images, on cpu(0) of each of 2 processes" in output
    assert not re.search(r"^\[1\] (?!note)", output, re.MULTILINE)  # rank 0 alone reports


def test_one_process_under_the_launcher_has_the_bits_of_a_plain_run(folder):
    ran(
        run(
            folder,
            "-n",
            1,
            "train",
            *FLAGS,
            "--epochs",
            2,
            "--ema",
            0.9,
            "--name",
            "launched",
            "--kvstore",
            "dist_sync",
        )
    )
    alone(folder, "-m", "resattnet", "train", *FLAGS, "--epochs", 2, "--ema", 0.9, "--name", "plain")
    assert_same_bits(arrays(folder, "plain"), arrays(folder, "launched"))
    assert history(folder, "plain") == history(folder, "launched")


def test_updates_without_waiting_are_those_of_all_processes_and_the_run_goes_on(tmp_path):
    """The first updates are all computed from the same parameters, so they add up to the synchronous update."""
    first = [FROZEN, *EXACT[:-1], 1, "--clip-gradient", 100]
    ran(run(tmp_path, "-n", 2, *first, "-b", 32, "--name", "async", "--kvstore", "dist_async"))
    alone(tmp_path, *first, "-b", 64, "--name", "sync")
    found, expected = arrays(tmp_path, "async"), arrays(tmp_path, "sync")
    parameters = [name for name in expected if name.startswith("parameter/") and "running" not in name]
    moved = max(np.abs(found[name] - expected[name]).max() for name in parameters)
    assert len(parameters) > 100 and moved < 1e-5
    flags = ["train", "--dataset", "digits", "--widths", "tiny", "-b", 16, "--num-gpus", 0, "--warmup-epochs", 0]
    ran(run(tmp_path, "-n", 2, *flags, "--epochs", 2, "--name", "run", "--kvstore", "dist_async"))
    output = ran(run(tmp_path, "-n", 2, "train", "--resume", "models/run", "--epochs", 3))
    assert "(dist_async)" in output
    rows = history(tmp_path, "run")
    assert len(rows) == 3 and rows[-1]["train_loss"] < 0.8 * rows[0]["train_loss"]


def test_gradients_of_two_bits_train(tmp_path):
    flags = ["train", "--dataset", "digits", "--widths", "tiny", "-b", 16, "--num-gpus", 0, "--warmup-epochs", 0]
    flags += ["--epochs", 3, "--kvstore", "dist_sync", "--name", "run", "--compress-gradients", "2bit"]
    code, output = run(tmp_path, "-n", 2, "-s", 2, *flags)
    assert code == 2 and "compress-gradients 2bit: MXNet compresses with one server, and there are 2" in output
    ran(run(tmp_path, "-n", 2, *flags))
    rows = history(tmp_path, "run")
    assert rows[-1]["train_loss"] < 0.9 * rows[0]["train_loss"] and rows[-1]["validation_top1"] > 0.2


def test_ctrl_c_saves_and_the_resumed_run_has_the_bits_of_an_uninterrupted_one(folder):
    flags = ["train", *FLAGS, "--epochs", 12, "--kvstore", "dist_sync", "--save-minutes", 0.02, "--mix-up", 1]
    flags += ["--clip-gradient", 1, "--ema", 0.9]
    ran(run(folder, "-n", 2, *flags, "--name", "whole"))
    job = launch(folder, "-n", 2, *flags, "--name", "stopped")
    wait_until(lambda: os.path.exists(folder / "log" / "csv" / "stopped.csv"), job, folder)
    job.send_signal(signal.SIGINT)
    code, output = finish(job, folder)
    steps = {int(step) for step in re.findall(r"stopped after step (\d+), all saved", output)}
    assert code == 130 and len(steps) == 1 and max(steps) < 24, output
    assert "the job is ended" not in output and "Traceback" not in output
    state = states.load_state(str(folder / "models" / "stopped"))
    assert state.progress["step"] == steps.pop() and state.progress["processes"] == 2
    copies = [name for name in state.arrays if re.match(r"parameter/.*running_mean/1$", name)]
    assert copies  # each process has its own statistics
    ran(run(folder, "-n", 2, "train", "--resume", "models/stopped"))
    assert_same_bits(arrays(folder, "whole"), arrays(folder, "stopped"))
    assert history(folder, "whole") == history(folder, "stopped")

    output = ran(run(folder, "-n", 3, "train", "--resume", "models/stopped", "--epochs", 13, "-b", 8))
    assert "the run goes on in 3 processes in place of 2" in output
    output = alone(
        folder, "-m", "resattnet", "train", "--resume", "models/stopped", "--epochs", 14, "--kvstore", "none"
    )
    assert "the run goes on in 1 process in place of 3" in output


def test_a_rank_with_other_arguments_is_refused_everywhere(folder):
    command = f"exec {sys.executable} -m resattnet train {' '.join(FLAGS)} --kvstore dist_sync --seed $DMLC_WORKER_ID"
    code, output = run(folder, "-n", 2, "sh", "-c", command)
    message = "rank 1 of 2 would not train the run of rank 0: --seed is 1 in place of 0; start all ranks with"
    assert code == 2 and output.count(message) == 2, output
    assert not (folder / "models").exists()


def test_a_process_of_a_launcher_needs_an_engine(folder):
    code, output = run(folder, "-n", 2, "train", *FLAGS)
    assert code == 2 and "a launcher has started 2 processes, and each would train the same run: give" in output


@pytest.mark.parametrize("role", VICTIMS)
def test_a_killed_process_ends_the_job(folder, role):
    flags = [*FLAGS, "--epochs", 10000, "--kvstore", "dist_sync", "--name", "run"]
    job = launch(folder, "-n", 2, "train", *flags)
    wait_until(lambda: os.path.exists(folder / "log" / "csv" / "run.csv"), job, folder)
    processes = members(job)
    assert sorted(processes) == ["scheduler", "server", "worker 0", "worker 1"]
    begun = time.monotonic()
    os.kill(processes[role], signal.SIGKILL)
    code, output = finish(job, folder, 60)
    assert code == 137 and time.monotonic() - begun < 10, output
    name = "server 0" if role == "server" else role
    assert output.count("the job is ended") == 1 and f"{name} was killed by SIGKILL: the job is ended" in output
    assert not any(is_running(pid) for pid in processes.values())
    states.load_state(str(folder / "models" / "run"))  # whole


def test_a_killed_launcher_leaves_no_process(folder):
    job = launch(folder, "-n", 2, "train", *FLAGS, "--epochs", 10000, "--kvstore", "dist_sync", "--name", "run")
    wait_until(lambda: os.path.exists(folder / "log" / "csv" / "run.csv"), job, folder)
    processes = members(job)
    job.kill()
    job.wait()
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in processes.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in processes.values())
    assert said(folder)
