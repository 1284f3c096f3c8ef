"""The folder of a training run: made for it, and in the hands of one process at a time."""

import contextlib
import fcntl
import os

from ..system.errors import InputError
from ..system.files import TEMPORARY, writing

_LOCK = "training" + TEMPORARY  # what is left of it after a kill locks nothing


def make_run_folder(model_dir, run):
    """Make the folder of a new run and return its path; an InputError if there is one of that name, or none can be."""
    folder = os.path.join(model_dir, run)
    try:
        os.makedirs(folder)
    except FileExistsError:
        if never_saved(folder):
            raise InputError(
                f"{folder} is there already, of a run that was killed before its first state was whole: remove "
                "it, or give another --name"
            )
        raise InputError(f"{folder} is there already: go on with it by --resume {folder}, or give another --name")
    except OSError as error:
        raise InputError(f"--model-dir {model_dir}: {folder} cannot be made ({error.strerror})") from error
    return folder


def never_saved(folder):
    """Whether a folder is there, of a run that was killed before its first state was whole."""
    return os.path.isdir(folder) and all(name.endswith(TEMPORARY) for name in os.listdir(folder))


@contextlib.contextmanager
def exclusive(folder):
    """A context in which no other process trains the run of a folder.

    The lock is the process's: it ends with it, however it ends, and processes that it forks have no part in it.

    Raises
    ------
    InputError
        If another process does, or the folder cannot be written to.
    """
    path = os.path.join(folder, _LOCK)
    with _locked(path, folder):
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def _locked(path, folder):
    """The file at `path`, open and locked by this process."""
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
        # The process that ended has removed it after it was opened here: who opens it next makes another.
        handle.close()
