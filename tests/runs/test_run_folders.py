"""Tests for the folder of a run: whose it is, and that one process trains the run at a time."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from helpers.scripts import ROOT
from resattnet.runs import run_folders, states
from resattnet.system.errors import InputError

FLAGS = {"resume": "--resume", "name": "--name"}


def save_state(folder):
    states.save_state(str(folder), {}, {"epoch": 0, "step": 1, "options": {}})


@pytest.fixture
def locked_elsewhere(tmp_path):
    """Return the folder of a run whose lock another process holds, and the number of that process."""
    folder = str(tmp_path / "elsewhere" / "run")
    code = (
        "import sys; from resattnet.runs.run_folders import make_run_folder\n"
        "with make_run_folder(*sys.argv[1:]):\n    print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, os.path.dirname(folder), "run"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\n"
        yield folder, process.pid
        process.stdin.close()


def test_a_folder_that_exists_or_cannot_be_made_is_refused_with_what_to_do(tmp_path):
    folder = str(tmp_path / "run")
    os.mkdir(folder)
    with pytest.raises(InputError, match="killed before it saved a complete state; remove the folder, or give another"):
        run_folders.make_run_folder(str(tmp_path), "run")
    save_state(folder)
    with pytest.raises(InputError) as error:
        run_folders.make_run_folder(str(tmp_path), "run")
    assert error.value.as_flags(FLAGS) == (
        f"{folder} exists already: continue that run by --resume {folder}, or give another --name"
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"model_dir=.*file: .* cannot be made \(Not a directory\)"):
        run_folders.make_run_folder(str(tmp_path / "file"), "run")


@pytest.mark.parametrize("saved", [False, True])
def test_a_live_run_is_not_called_dead(locked_elsewhere, saved):
    """The lock decides: neither a missing state nor a saved one tells whether the run is alive."""
    folder, pid = locked_elsewhere
    if saved:
        save_state(folder)
    with pytest.raises(InputError) as error:
        run_folders.make_run_folder(os.path.dirname(folder), "run")
    assert error.value.as_flags(FLAGS) == (
        f"{folder} exists already: another process ({pid}) trains this run; give another --name"
    )
    with pytest.raises(InputError) as error:
        run_folders.exclusive(folder)
    assert str(error.value) == f"{folder}: another process ({pid}) trains this run; wait for it, or stop it first"


def test_a_folder_that_is_not_locked_yet_is_waited_for(tmp_path):
    """Between making its folder and locking it a process is not called dead."""
    folder = str(tmp_path / "run")
    code = (
        "import os, sys, time; from resattnet.runs.run_folders import exclusive\n"
        "os.mkdir(sys.argv[1]); print(flush=True); time.sleep(0.3)\n"
        "with exclusive(sys.argv[1]):\n    sys.stdin.read()"
    )
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code, folder], cwd=ROOT, **pipes) as process:
        process.stdout.readline()
        with pytest.raises(InputError, match=rf"another process \({process.pid}\) trains this run; give another"):
            run_folders.make_run_folder(str(tmp_path), "run")
        process.stdin.close()


def test_a_trainer_on_another_machine_is_named_with_it(locked_elsewhere, monkeypatch):
    folder, pid = locked_elsewhere
    here = run_folders.socket.gethostname()
    monkeypatch.setattr(run_folders.socket, "gethostname", lambda: "other")
    with pytest.raises(InputError, match=re.escape(f"another process ({pid} on {here}) trains this run")):
        run_folders.exclusive(folder)


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    """The lock ends with the process, however the process ends. A forked child process does not keep the lock."""
    folder = str(tmp_path)
    code = (
        "import os, sys, time; from resattnet.runs.run_folders import exclusive\n"
        "with exclusive(sys.argv[1]):\n    os.write(1, b'%d\\n' % os.fork()); time.sleep(100)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True)
    lines = sorted(int(other.stdout.readline()) for _ in range(2))
    try:
        with pytest.raises(
            InputError,
            match=rf"{re.escape(folder)}: another process \({other.pid}\) trains this run; wait for it, or stop it",
        ):
            run_folders.exclusive(folder)
        other.kill()
        other.wait()
        with run_folders.exclusive(folder):
            assert run_folders.never_saved(folder)
        assert os.listdir(folder) == []
    finally:
        other.kill()
        os.kill(lines[1], signal.SIGKILL)
        other.communicate()


def test_threads_of_one_process_exclude_each_other(tmp_path):
    """The operating system's lock belongs to the process. Asking for it again does not release it either."""
    folder, said = str(tmp_path / "run"), []

    def ask(function, *args):
        try:
            function(*args)
        except InputError as error:
            said.append(str(error))

    with run_folders.make_run_folder(str(tmp_path), "run"):
        for call in [(run_folders.exclusive, folder), (run_folders.make_run_folder, str(tmp_path), "run")]:
            thread = threading.Thread(target=ask, args=call)
            thread.start()
            thread.join()
        code = "import sys; from resattnet.runs.run_folders import exclusive; exclusive(sys.argv[1])"
        command = [sys.executable, "-c", code, folder]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert said == [
        f"{folder}: this process trains this run already",
        f"{folder} exists already: this process trains this run; give another name",
    ]
    assert f"another process ({os.getpid()}) trains this run" in done.stderr


def test_a_lock_file_that_was_removed_after_it_was_opened_is_not_used(tmp_path, monkeypatch):
    """A process does not use a lock file that was removed after the process opened the file.

    The process that trained the run removes the file after another process opens the file and before the other process
    locks the file.
    """
    folder, lock, taken = str(tmp_path), run_folders.fcntl.lockf, []

    def removed_before(handle, how):
        taken.append(handle.name)
        if len(taken) == 1:
            os.remove(handle.name)
        lock(handle, how)

    monkeypatch.setattr(run_folders.fcntl, "lockf", removed_before)
    with run_folders.exclusive(folder):
        assert os.listdir(folder) == ["training.tmp"] and len(taken) == 2
    assert os.listdir(folder) == []


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_lock_knows_that_its_folder_is_no_longer_its_own(tmp_path, whole, replaced):
    """The folder, or the file of the lock, is removed or belongs to another run. That run's lock is left alone."""
    lock = run_folders.make_run_folder(str(tmp_path), "run")
    lock.check()
    path = os.path.join(lock.folder, "training.tmp")
    os.remove(path)
    if whole:
        os.rmdir(lock.folder)
    if replaced:
        os.makedirs(lock.folder, exist_ok=True)
        with open(path, "w"):
            pass
    with pytest.raises(InputError, match="run: the folder, or training.tmp in it, was removed or replaced while"):
        lock.check()
    lock.release()
    assert os.path.exists(path) == replaced and os.path.exists(lock.folder) == (replaced or not whole)


def test_a_folder_is_removed_with_its_lock_if_nothing_was_saved(tmp_path):
    with run_folders.make_run_folder(str(tmp_path), "empty"):
        pass
    with run_folders.make_run_folder(str(tmp_path), "saved") as lock:
        save_state(lock.folder)
    (tmp_path / "existing").mkdir()
    with run_folders.exclusive(str(tmp_path / "existing")):
        pass
    assert sorted(os.listdir(str(tmp_path))) == ["existing", "saved"]


def test_runs_without_a_name_never_share_a_folder(tmp_path, monkeypatch):
    """Runs that are started within one second get folders of their own, also from several threads at once."""
    monkeypatch.setattr(run_folders.time, "strftime", lambda form: "20260101-120000")
    locks = []
    threads = [
        threading.Thread(target=lambda: locks.append(run_folders.make_unnamed_run_folder(str(tmp_path), "net")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = ["net_20260101-120000"] + [f"net_20260101-120000-{number}" for number in range(2, 9)]
    assert sorted(os.path.basename(lock.folder) for lock in locks) == sorted(names)
