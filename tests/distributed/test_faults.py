"""Test what a job does when a part of it fails: one line that names it, an exit code, no process left, a whole state.

With RESATTNET_FUZZ=full (`make fuzz`) all faults are made, and the table of `docs/distributed.md` is written again.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import List, Tuple

import pytest

from helpers import jobs, live_runs
from helpers.jobs import FLAGS, finish, is_running, launch, members, ran, said, wait_until
from helpers.namespaces import silent_host
from helpers.pages import write_between
from helpers.scripts import ROOT
from helpers.tries import FULL
from resattnet.launcher import supervisor
from resattnet.runs import states

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each starts up to ten processes

PAGE = os.path.join(ROOT, "docs", "distributed.md")
FAULTY = os.path.join(ROOT, "tests", "helpers", "faulty_job.py")
LONG = [*FLAGS, "--epochs", 10000, "--kvstore", "dist_sync", "--name", "run"]
rows: List[Tuple[str, ...]] = []


@pytest.fixture
def folder(tmp_path):
    """Return a folder with noise records."""
    live_runs.write_noise_records(tmp_path)
    return tmp_path


def are_gone(processes):
    """Return whether processes end within ten seconds."""
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in processes.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(is_running(pid) for pid in processes.values())


class LongRun:
    """A run of two processes that lasts longer than all tests. Each makes a fault, after which the run goes on."""

    def __init__(self, folder):
        self.folder, self.job = folder, None

    def go_on(self, *flags):
        """Start the job, or resume it; return it and its processes, once one more epoch is saved."""
        epochs = self.folder / "log" / "csv" / "run.csv"
        done = len(epochs.read_text().splitlines()) if epochs.exists() else 1
        words = ["--resume", "models/run"] if epochs.exists() else LONG
        self.job = launch(self.folder, "-n", 2, *flags, FAULTY, "told", *words)
        wait_until(lambda: epochs.exists() and len(epochs.read_text().splitlines()) > done, self.job, self.folder)
        assert ("resumed in epoch" in said(self.folder)) == (words != LONG)

    def begun(self, *flags):
        """Return a job that is running, and its processes."""
        if flags or self.job is None or self.job.poll() is not None:
            self.end()
            self.go_on(*flags)
        processes = members(self.job)
        assert sorted(processes) == ["scheduler", "server", "worker 0", "worker 1"]
        return self.job, processes

    def tell(self, fault):
        """Make rank 1 have a fault in its next step."""
        (self.folder / "told").write_text(fault)
        (self.folder / "told").rename(self.folder / "fault")

    def check(self, fault, job, processes, code, line, within):
        """Check how the job ends, that its state is whole, and that the run goes on; return the output."""
        output, row = ended(self.folder, fault, job, processes, code, line, within)
        (self.folder / "fault").unlink(missing_ok=True)
        states.load_state(str(self.folder / "models" / "run"))  # whole
        self.go_on()
        rows.append((*row, "goes on"))
        return output

    def end(self):
        """End the job at once, if it runs; nothing is left of it."""
        if self.job is not None and self.job.poll() is None:
            processes = members(self.job)
            self.job.kill()
            self.job.wait()
            assert are_gone(processes)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a `LongRun`, which goes on from test to test: a start takes longer than a fault."""
    folder = tmp_path_factory.mktemp("faults")
    live_runs.write_noise_records(folder)
    run = LongRun(folder)
    yield run
    run.end()


@pytest.fixture(scope="module", autouse=True)
def table():
    """Write the table of all faults once they were made."""
    yield
    if FULL:
        head = ["| what happens | the last line | exit code | seconds | `--resume` |", "|---|---|---|---|---|"]
        write_between(PAGE, "faults", head + ["| " + " | ".join(row) + " |" for row in rows])


def shown(line, length=110):
    """Return a line of output as the table shows it."""
    return line if len(line) <= length else line[: length - 3] + "..."


def ended(folder, fault, job, processes, code, line, within):
    """Check how a job ends, and that nothing is left of it; return its output, and its row but for the last column."""
    start = time.monotonic()
    found, output = finish(job, folder, within + 30)
    seconds = time.monotonic() - start
    last = [text for text in output.splitlines() if re.search(line, text)]
    assert found == code and last and seconds < within, (found, seconds, output)
    assert output.count("the job is ended") <= 1 and "Traceback" not in output, output
    assert not any(is_running(pid) for pid in processes.values())
    return output, (fault, f"`{shown(last[-1])}`", str(code), f"{seconds:.1f}")


def check_start(folder, fault, job, code, line, within):
    """Check how a job ends that has not begun to train; return the output."""
    output, row = ended(folder, fault, job, {}, code, line, within)
    rows.append((*row, "" if (folder / "models").exists() else "nothing was written"))
    return output


def test_a_process_that_hangs_is_named_with_the_place(run):
    """The first test, as its job has a flag of its own."""
    job, processes = run.begun("--hang-timeout", 8)
    run.tell("hang")
    line = "worker 1 ended with exit code 124: the job is ended"
    output = run.check("rank 1 hangs (`--hang-timeout 8`)", job, processes, 124, line, 30)
    place = r"resattnet/training/loop\.py, line \d+ \(_train_epoch\)"
    assert re.search(rf"^\[1\] .*: rank 1 has made no step for 8 s, in {place}$", output, re.MULTILINE), output


ROLES = ["worker 0", "worker 1", "server", "scheduler"] if FULL else ["worker 1", "server"]


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_process_ends_the_job(run, role):
    job, processes = run.begun()
    os.kill(processes[role], signal.SIGKILL)
    name = "server 0" if role == "server" else role
    run.check(f"SIGKILL of {name}", job, processes, 137, f"{name} was killed by SIGKILL: the job is ended", 10)


@pytest.mark.skipif(not FULL, reason="takes half a minute; `make fuzz` makes it")
def test_a_stopped_process_ends_the_job(run):
    job, processes = run.begun()
    os.kill(processes["worker 1"], signal.SIGSTOP)
    line = "worker 1 has been stopped for 30 s"
    run.check("SIGSTOP of worker 1", job, processes, 124, line, supervisor.STOPPED_LIMIT + 15)


def test_an_error_of_one_rank_ends_the_job(run):
    job, processes = run.begun()
    run.tell("raise")
    line = "worker 1 ended with exit code 2: the job is ended"
    run.check("rank 1 cannot read an image", job, processes, 2, line, 15)


@pytest.mark.skipif(not FULL, reason="test_training.py stops a run so, and compares its bits")
def test_ctrl_c_saves_and_ends(run):
    job, processes = run.begun()
    job.send_signal(signal.SIGINT)
    run.check("Ctrl-C at the launcher", job, processes, 130, r"stopped after step \d+, all saved", 15)


def test_a_killed_launcher_leaves_no_process(run):
    job, processes = run.begun()
    job.kill()
    job.wait()
    assert are_gone(processes)
    assert said(run.folder)


def test_a_full_disk_on_rank_0_loses_nothing(folder):
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted, which needs root")
    (folder / "models").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder / "models")])
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        flags = [*FLAGS, "--epochs", 3, "--kvstore", "dist_sync", "--name", "run"]
        (folder / "fault").write_text("wait")
        job = launch(folder, "-n", 2, FAULTY, "told", *flags)
        wait_until(lambda: os.path.exists(folder / "log" / "csv" / "run.csv"), job, folder)
        wait_until(lambda: os.path.exists(folder / "models" / "run" / "last.state"), job, folder)
        filler = folder / "models" / "filler"
        with open(filler, "wb") as stream:
            while True:
                try:
                    os.write(stream.fileno(), b"0" * 4096)
                except OSError:
                    break
        processes = members(job)
        (folder / "fault").unlink()
        code, output = finish(job, folder)
        line = next((text for text in output.splitlines() if "could not be saved (No space left" in text), "")
        assert code == 2 and line and "warning" in output, (code, output)
        assert not any(is_running(pid) for pid in processes.values())
        filler.unlink()
        resumed = ran(jobs.run(folder, "-n", 2, "train", "--resume", "models/run"))
        assert "resumed in epoch" in resumed
        rows.append(("the disk of rank 0 is full", f"`{shown(line)}`", str(code), "at the end", "goes on"))
    finally:
        subprocess.run(["umount", "-l", str(folder / "models")], check=True)


def start_of(rank_1):
    """Return the words of a job whose rank 1 has other words."""
    train = f"exec {sys.executable} -m resattnet train {' '.join(map(str, LONG))}"
    return ["sh", "-c", f'if [ "$DMLC_WORKER_ID" = 1 ]; then {train} {rank_1}; else {train}; fi']


OTHER = {
    "another seed": (start_of("--seed 1"), "--seed is 1 in place of 0"),
    "another data set": (start_of("--data-dir other"), "the data set is "),
    "another version": ([FAULTY, "version", *LONG], 'the version is "0.0.1 with'),
}


@pytest.mark.parametrize("what", OTHER if FULL else ["another data set"])
def test_a_rank_that_would_train_another_run_is_refused(folder, what):
    (folder / "other").mkdir()
    live_runs.write_noise_records(folder / "other", seed=1)
    words, difference = OTHER[what]
    job = launch(folder, "-n", 2, *words)
    line = f"rank 1 of 2 would not train the run of rank 0: .*{re.escape(difference)}"
    check_start(folder, f"rank 1 has {what}", job, 2, line, 60)


def test_a_port_in_use_and_a_host_out_of_reach_are_named(folder):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(1)
        port = busy.getsockname()[1]
        job = launch(folder, "--port", port, "-n", 2, "train", *LONG)
        check_start(folder, "the port is in use", job, 2, f"--port {port}: it cannot be used", 15)
    (folder / "hosts").write_text("192.0.2.1\n")  # an address that nobody has (RFC 5737)
    job = launch(folder, "--hosts", "hosts", "-n", 1, "train", *LONG)
    line = r"(server|worker) 0 on 192\.0\.2\.1 ended with exit code 255: the job is ended"
    check_start(folder, "a host cannot be reached", job, 255, line, 30)


@pytest.mark.skipif(not FULL or not shutil.which("ssh"), reason="waits for ssh: `make fuzz` does it, where ssh is")
def test_a_host_that_does_not_answer_is_named(folder):
    with silent_host() as host:
        (folder / "hosts").write_text(host + "\n")
        job = launch(folder, "--hosts", "hosts", "-n", 1, "train", *LONG)
        line = rf"(server|worker) 0 on {re.escape(host)} ended with exit code 255: the job is ended"
        output = check_start(folder, "a host does not answer", job, 255, line, 20)
    assert "Connection timed out" in output
