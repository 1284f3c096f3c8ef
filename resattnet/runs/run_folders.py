"""Make the folder of a training run, and lock it so that one process trains the run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import socket
import time
import weakref
from typing import IO, Optional

from ..system.errors import InputError, reason
from ..system.files import TEMPORARY, is_open_at, list_folder, writing

_LOCK = "training" + TEMPORARY  # a file left behind by a killed process locks nothing
_LOCK_DELAY = 1.0  # seconds that a process may take from making a folder to locking it

# The locks that this process holds, by the real path of the folder. The locks of the operating system belong to the
# process: they exclude no other thread, and closing another handle of the same file would release them.
_held: weakref.WeakValueDictionary[str, RunLock] = weakref.WeakValueDictionary()


class RunLock:
    """The lock of a run's folder. No other process trains the run while this process holds it.

    A context manager that releases the lock. The lock also ends with the process, however the process ends. Processes
    that it forks do not hold the lock.

    Parameters
    ----------
    folder : str
        The run's folder; it exists.
    made : bool
        Whether the folder was made for this run. It is then removed with the lock if it is empty.

    Raises
    ------
    InputError
        If the run is trained already, or the folder cannot be written to.
    """

    def __init__(self, folder: str, made: bool = False) -> None:
        self.folder, self._made = folder, made
        self._path = os.path.join(folder, _LOCK)
        key = os.path.realpath(folder)
        if key in _held:
            raise InputError(f"{folder}: this process trains this run already")
        try:
            self._handle = _locked(self._path, folder)
        except InputError:
            if made:
                _remove_if_empty(folder)
            raise
        self._close = weakref.finalize(self, self._handle.close)
        _held[key] = self
        with contextlib.suppress(OSError):  # the disk is full: other processes cannot name this one
            os.ftruncate(self._handle.fileno(), 0)
            os.write(self._handle.fileno(), f"{os.getpid()} on {socket.gethostname()}".encode())

    def check(self) -> None:
        """Raise InputError if the folder or the lock in it was removed or replaced since it was locked.

        What is in the folder then belongs to somebody else.
        """
        if not is_open_at(self._handle, self._path):
            raise InputError(
                f"{self.folder}: the folder, or {_LOCK} in it, was removed or replaced while the run trained; the run "
                "ends here, and writes nothing more to the folder"
            )

    def release(self) -> None:
        """Release the lock, and remove its file unless that was removed or replaced."""
        if self._handle.closed:
            return
        own = is_open_at(self._handle, self._path)
        if own:
            os.remove(self._path)
        _held.pop(os.path.realpath(self.folder), None)
        self._close()
        if own and self._made:
            _remove_if_empty(self.folder)

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def exclusive(folder: str) -> RunLock:
    """Return the lock of the folder of an existing run, a context manager; see `RunLock`."""
    return RunLock(folder)


def make_run_folder(model_dir: str, run: str) -> RunLock:
    """Make the folder of a new run, and return its lock.

    Raises
    ------
    InputError
        If a folder of that name exists already, or the folder cannot be made.
    """
    folder = os.path.join(model_dir, run)
    lock = _make(model_dir, folder)
    if lock is None:
        raise InputError(f"{folder} exists already: {_advice(folder)}")
    return lock


def make_unnamed_run_folder(model_dir: str, title: str) -> RunLock:
    """Make the folder of a new run that was given no name, and return its lock.

    The name is the title and the time. If a folder of that name exists, as that of a run started within the same
    second, a number is added.

    Raises
    ------
    InputError
        If the folder cannot be made.
    """
    folder = os.path.join(model_dir, f"{title}_{time.strftime('%Y%m%d-%H%M%S')}")
    lock, numbers = _make(model_dir, folder), itertools.count(2)
    while lock is None:
        lock = _make(model_dir, f"{folder}-{next(numbers)}")
    return lock


def never_saved(folder: str) -> bool:
    """Return whether there is a folder of a run without a complete state: it was killed, or has just begun."""
    return os.path.isdir(folder) and all(name.endswith(TEMPORARY) for name in os.listdir(folder))


def _make(model_dir: str, folder: str) -> Optional[RunLock]:
    """Make and lock a folder; return None if it exists already."""
    try:
        os.makedirs(folder)
    except FileExistsError:
        return None
    except OSError as error:
        raise InputError(f"`model_dir={model_dir}`: {folder} cannot be made ({reason(error)})") from error
    return RunLock(folder, made=True)


def _advice(folder: str) -> str:
    """Return what a folder that exists already is, and what to do about it."""
    deadline = time.monotonic() + _LOCK_DELAY
    while True:
        trainer = _find_trainer(folder)
        if trainer:
            return f"{trainer} trains this run; give another `name`"
        if not never_saved(folder):
            return f"continue that run by `resume={folder}`, or give another `name`"
        if time.monotonic() > deadline:
            return "its run was killed before it saved a complete state; remove the folder, or give another `name`"
        time.sleep(0.05)  # its process may just have made it, and not have locked it yet


def _find_trainer(folder: str) -> Optional[str]:
    """Return which process holds the lock of a folder, as the start of a message; None if no process does."""
    if os.path.realpath(folder) in _held:
        return "this process"
    try:
        with open(os.path.join(folder, _LOCK)) as handle:
            return None if _try_lock(handle, fcntl.LOCK_SH) else _name_trainer(handle)
    except OSError:
        return None  # there is no lock


def _name_trainer(handle: IO[str]) -> str:
    """Return how to name the process that holds the lock in an open file."""
    handle.seek(0)
    number = handle.read().replace(f" on {socket.gethostname()}", "")
    return f"another process ({number})" if number else "another process"


def _try_lock(handle: IO[str], how: int) -> bool:
    """Lock an open file; return False if another process has locked it."""
    try:
        fcntl.lockf(handle, how | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _locked(path: str, folder: str) -> IO[str]:
    """Return the file at `path`, opened and locked by this process."""
    while True:
        with writing(folder):
            handle = open(path, "a+")
        if not _try_lock(handle, fcntl.LOCK_EX):
            with handle:
                trainer = _name_trainer(handle)
            raise InputError(f"{folder}: {trainer} trains this run; wait for it, or stop it first")
        if is_open_at(handle, path):
            return handle
        # The process that had the lock removed the file after it was opened here, so other processes would not see this
        # lock: open a new file.
        handle.close()


def _remove_if_empty(folder: str) -> None:
    if not list_folder(folder):
        with contextlib.suppress(OSError):  # it is no longer there, or no longer empty
            os.rmdir(folder)
