"""Make the folder of a training run, and lock it so that one process trains the run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import IO, Iterator

from ..system.errors import InputError, reason
from ..system.files import TEMPORARY, writing

_LOCK = "training" + TEMPORARY  # a file left behind by a killed process locks nothing


def make_run_folder(model_dir: str, run: str) -> str:
    """Make the folder of a new run and return its path.

    Raises
    ------
    InputError
        If a folder of that name exists already, or the folder cannot be made.
    """
    folder = os.path.join(model_dir, run)
    try:
        os.makedirs(folder)
    except FileExistsError as error:
        if never_saved(folder):
            raise InputError(
                f"{folder} exists already: its run was killed before it saved a complete state; remove the folder, or "
                "give another `name`"
            ) from error
        raise InputError(
            f"{folder} exists already: continue that run by `resume={folder}`, or give another `name`"
        ) from error
    except OSError as error:
        raise InputError(f"`model_dir={model_dir}`: {folder} cannot be made ({reason(error)})") from error
    return folder


def never_saved(folder: str) -> bool:
    """Return whether there is a folder of a run that was killed before it saved a complete state."""
    return os.path.isdir(folder) and all(name.endswith(TEMPORARY) for name in os.listdir(folder))


@contextlib.contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Context in which no other process trains the run of a folder.

    The lock ends with the process, however the process ends. Processes that it forks do not hold the lock.

    Raises
    ------
    InputError
        If another process trains the run, or the folder cannot be written to.
    """
    path = os.path.join(folder, _LOCK)
    with _locked(path, folder):
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def _locked(path: str, folder: str) -> IO[str]:
    """Return the file at `path`, opened and locked by this process."""
    while True:
        with writing(folder):
            handle = open(path, "a")
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            handle.close()
            raise InputError(f"{folder}: another process trains this run; wait for it, or stop it first") from error
        except OSError:
            pass  # a file system without locks
        if os.fstat(handle.fileno()).st_nlink:
            return handle
        # The process that had the lock removed the file after it was opened here, so other processes would not see this
        # lock: open a new file.
        handle.close()
