"""Test that a run in several processes is the run of one, with MXNet's parameter servers on this machine."""

import os
import re
import signal
import time

import numpy as np
import pytest

from helpers import live_runs
from helpers.jobs import (
    EXACT,
    FLAGS,
    FROZEN,
    SMALL,
    SUMS,
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
    wait_until,
)
from helpers.tries import FULL
from resattnet.runs import states

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each starts up to twenty processes

# `make fuzz` tries all; the others take the same ways.
STORES = ["dist_sync", "dist_device_sync"] if FULL else ["dist_sync"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with noise records: 64 training images, 20 test images."""
    live_runs.write_noise_records(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kvstore", STORES)
def test_two_processes_with_half_of_the_batch_train_as_one(tmp_path, kvstore):
    """Also: the first gradients are of the parameters of all; a race there shows in about every third run."""
    output = ran(run(tmp_path, "-n", 2, FROZEN, *EXACT, "-b", 8, "--name", "two", "--kvstore", kvstore))
    alone(tmp_path, FROZEN, *EXACT, "-b", 16, "--name", "one")
    assert_same_training(arrays(tmp_path, "one"), arrays(tmp_path, "two"))
    (row,), (expected,) = history(tmp_path, "two"), history(tmp_path, "one")
    assert set(row) == set(expected)
    for name, value in expected.items():
        assert abs(row[name] - value) < 1e-4, name
    assert "1437 training and 360 validation images, on cpu(0) of each of 2 processes" in output
    assert not re.search(r"^\[1\] (?!note)", output, re.MULTILINE)  # rank 0 alone reports


@pytest.mark.parametrize("servers", [1, 3] if FULL else [3])
@pytest.mark.parametrize("engine", [["dist_sync"], ["dist_async"], ["dist_sync", "2bit"]], ids=" ".join)
def test_sums_are_exact_with_any_number_of_servers(tmp_path, engine, servers):
    """MXNet chooses a server by a product of the key in 32 bits; the keys of sums once were too large for that."""
    kvstore, *compression = engine
    output = ran(run(tmp_path, "-n", 2, "-s", servers, SUMS, kvstore, 20, *compression))
    assert output.count(" 0 of 20 sums are wrong") == 2, output


@pytest.mark.skipif(not FULL, reason="validates 10,000 images twice: `make fuzz` does")
def test_two_processes_train_as_one_on_real_images(tmp_path, cifar10_dir):
    flags = ["--dataset", "cifar10", "--data-dir", cifar10_dir, *EXACT[2:]]
    ran(run(tmp_path, "-n", 2, FROZEN, *flags, "-b", 8, "--name", "two", "--kvstore", "dist_sync"))
    alone(tmp_path, FROZEN, *flags, "-b", 16, "--name", "one")
    assert_same_training(arrays(tmp_path, "one"), arrays(tmp_path, "two"))


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


def test_updates_without_waiting_are_those_of_all_processes(tmp_path):
    """The first updates are all computed from the same parameters, so they add up to the synchronous update."""
    first = [FROZEN, *EXACT[:-1], 1, "--clip-gradient", 100]
    ran(run(tmp_path, "-n", 2, *first, "-b", 8, "--name", "async", "--kvstore", "dist_async"))
    alone(tmp_path, *first, "-b", 16, "--name", "sync")
    found, expected = arrays(tmp_path, "async"), arrays(tmp_path, "sync")
    parameters = [name for name in expected if name.startswith("parameter/") and "running" not in name]
    moved = max(np.abs(found[name] - expected[name]).max() for name in parameters)
    assert len(parameters) > 100 and moved < 1e-5


@pytest.mark.skipif(not FULL, reason="takes two minutes: `make fuzz` does it")
def test_a_run_without_waiting_learns_and_goes_on(tmp_path):
    flags = ["train", "--dataset", "digits", "--widths", "tiny", "-b", 16, "--num-gpus", 0, "--warmup-epochs", 0]
    ran(run(tmp_path, "-n", 2, *flags, "--epochs", 2, "--name", "run", "--kvstore", "dist_async"))
    output = ran(run(tmp_path, "-n", 2, "train", "--resume", "models/run", "--epochs", 3))
    assert "(dist_async)" in output
    rows = history(tmp_path, "run")
    assert len(rows) == 3 and rows[-1]["train_loss"] < 0.8 * rows[0]["train_loss"]


def test_gradients_of_two_bits_train(tmp_path):
    flags = [SMALL, "--dataset", "digits", *FLAGS[6:]]
    flags += ["--epochs", 2, "--kvstore", "dist_sync", "--name", "run", "--compress-gradients", "2bit"]
    ran(run(tmp_path, "-n", 2, "-s", 2, *flags))
    rows = history(tmp_path, "run")
    assert rows[-1]["train_loss"] < 0.9 * rows[0]["train_loss"] and rows[-1]["validation_top1"] > 0.2


def test_ctrl_c_saves_and_the_resumed_run_has_the_bits_of_an_uninterrupted_one(folder):
    flags = ["train", *FLAGS, "--epochs", 6, "--kvstore", "dist_sync", "--save-minutes", 0.02, "--mix-up", 1]
    flags += ["--clip-gradient", 1, "--ema", 0.9]
    ran(run(folder, "-n", 2, *flags, "--name", "whole"))
    job = launch(folder, "-n", 2, *flags, "--name", "stopped")
    wait_until(lambda: os.path.exists(folder / "log" / "csv" / "stopped.csv"), job, folder)
    processes = members(job)
    assert sorted(processes) == ["scheduler", "server", "worker 0", "worker 1"]
    job.send_signal(signal.SIGINT)
    begin = time.monotonic()
    code, output = finish(job, folder)
    assert time.monotonic() - begin < 15 and not any(is_running(pid) for pid in processes.values())
    steps = {int(step) for step in re.findall(r"stopped after step (\d+), all saved", output)}
    assert code == 130 and len(steps) == 1 and max(steps) < 12, output
    assert "the job is ended" not in output and "Traceback" not in output
    state = states.load_state(str(folder / "models" / "stopped"))
    assert state.progress["step"] == steps.pop() and state.progress["processes"] == 2
    copies = [name for name in state.arrays if re.match(r"parameter/.*running_mean/1$", name)]
    assert copies  # each process has its own statistics
    ran(run(folder, "-n", 2, "train", "--resume", "models/stopped"))
    assert_same_bits(arrays(folder, "whole"), arrays(folder, "stopped"))
    assert history(folder, "whole") == history(folder, "stopped")

    output = ran(run(folder, "-n", 3, "train", "--resume", "models/stopped", "--epochs", 7, "-b", 8))
    assert "the run goes on in 3 processes in place of 2" in output
    output = alone(folder, "-m", "resattnet", "train", "--resume", "models/stopped", "--epochs", 8, "--kvstore", "none")
    assert "the run goes on in 1 process in place of 3" in output


def test_a_process_of_a_launcher_needs_an_engine(folder):
    code, output = run(folder, "-n", 2, "train", *FLAGS)
    assert code == 2 and "a launcher has started 2 processes, and each would train the same run: give" in output
