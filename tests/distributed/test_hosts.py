"""Train across hosts, which are network namespaces of this machine, and cut their link."""

import os
import time

import pytest

from helpers import jobs, live_runs
from helpers.jobs import FLAGS, arrays, assert_same_bits, finish, launch, ran, run, wait_until
from helpers.namespaces import hosts, set_link
from helpers.tries import FULL
from resattnet.runs import states

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TRAIN = ["train", *FLAGS, "--kvstore", "dist_sync", "--epochs"]
CUT = 20 if FULL else 6  # seconds


@pytest.fixture
def folder(tmp_path):
    """Return a folder with noise records."""
    live_runs.write_noise_records(tmp_path)
    return tmp_path


def environment(folder):
    """Return the environment of a job whose ssh is the stand-in in a folder."""
    return jobs.environment(PATH=f"{folder}:{os.environ['PATH']}")


def test_two_hosts_train_as_one_machine_also_where_the_link_is_cut_for_seconds(folder):
    ran(run(folder, "-n", 2, *TRAIN, 4, "--name", "local"))
    with hosts(folder, 2) as names:
        (folder / "hosts").write_text("\n".join(names))
        job = launch(folder, "-n", 2, "--hosts", "hosts", *TRAIN, 4, "--name", "hosts", env=environment(folder))
        wait_until(lambda: os.path.exists(folder / "log" / "csv" / "hosts.csv"), job, folder)
        set_link(names[1], up=False)
        time.sleep(CUT)
        assert job.poll() is None
        set_link(names[1], up=True)
        code, output = finish(job, folder)
        assert code == 0, output
    assert_same_bits(arrays(folder, "local"), arrays(folder, "hosts"))


def test_a_link_that_is_cut_for_good_ends_the_job(folder):
    with hosts(folder, 2, missed=3) as names:
        (folder / "hosts").write_text("\n".join(names))
        flags = [*TRAIN, 10000, "--name", "cut"]
        job = launch(folder, "-n", 2, "--hosts", "hosts", *flags, env=environment(folder))
        wait_until(lambda: os.path.exists(folder / "log" / "csv" / "cut.csv"), job, folder)
        set_link(names[1], up=False)
        code, output = finish(job, folder, 60)
        assert code == 255 and output.count("the job is ended") == 1, output
        assert f"worker 1 on {names[1]} ended with exit code 255: the job is ended" in output
        assert f"Timeout, server {names[1]} not responding" in output
    step = states.load_state(str(folder / "models" / "cut")).progress["step"]
    output = ran(run(folder, "-n", 2, "train", "--resume", "models/cut", "--max-steps", step + 2))
    assert "resumed in epoch" in output
