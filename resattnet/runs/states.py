"""Whole states of a run, on disk: all that it takes to go on as if it had never stopped.

A run's folder holds the two newest ones, `last.state` and `previous.state`, in NumPy's npz format.
"""

import dataclasses
import json
import os
from typing import NamedTuple

import numpy as np

from ..system.errors import InputError
from ..system.files import write_atomically
from .progress import Progress

NAMES = ("last.state", "previous.state")  # of the newest, and of the one before
_HEADER = "progress"


class State(NamedTuple):
    """A whole state of a run, as read.

    Attributes
    ----------
    arrays : dict of str to array
        As `run_state.state_arrays` gives them.
    progress : dict
        Arguments of `progress.Progress`.
    options : dict
        Arguments of `options.TrainingOptions`.
    folder : str
        The run's folder.
    """

    arrays: dict
    progress: dict
    options: dict
    folder: str


def save_state(folder, arrays, progress):
    """Write a whole state as `last.state`; the one before becomes `previous.state`.

    Parameters
    ----------
    folder : str
    arrays : dict of str to array
    progress : dict
        Of JSON types: the fields of `progress.Progress`, and `options`.
    """
    header = np.frombuffer(json.dumps(progress).encode(), np.uint8)

    def write(temporary):
        with open(temporary, "wb") as handle:
            np.savez(handle, **{_HEADER: header}, **arrays)

    newest, before = (os.path.join(folder, name) for name in NAMES)
    write_atomically(newest, write, keep=before)


def state_paths(folder):
    """The states that are in a run's folder, the newest first."""
    return [path for path in (os.path.join(folder, name) for name in NAMES) if os.path.exists(path)]


def load_state(path, with_arrays=True):
    """Read a whole state.

    Parameters
    ----------
    path : str
        A run's folder, or one of its states.
    with_arrays : bool
        Otherwise they are left unread, and `State.arrays` is empty.

    Returns
    -------
    State

    Raises
    ------
    InputError
        If there is none, or it is of another version, or damaged; then the message names the last whole one.
    """
    folder = path
    if not os.path.isdir(path):
        folder = os.path.dirname(path) or "."
    else:
        path = next(iter(state_paths(path)), os.path.join(path, NAMES[0]))
    if not os.path.exists(path):
        raise InputError(f"{path}: no state of a run is there to resume")
    if not path.endswith(".state"):
        raise InputError(f"{path} is no state of a run: give the run's folder, or the last.state in it")
    try:
        arrays, progress = _read_state(path, with_arrays)
    except Exception as error:  # NumPy, zipfile and tokenize raise more kinds for damaged bytes than they name
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is damaged ({reason}): {_whole_states(folder, path)}")
    options = progress.pop("options")
    unknown = sorted(set(progress) - {spec.name for spec in dataclasses.fields(Progress)})
    if unknown:
        raise InputError(f"{path} is of another version of resattnet: {', '.join(unknown)} unknown here")
    return State(arrays, progress, options, folder)


def _read_state(path, with_arrays=True):
    # Opened here, since NumPy leaves a file that is no archive open.
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as state:
        arrays = {name: state[name] for name in state.files if with_arrays or name == _HEADER}
    return arrays, json.loads(arrays.pop(_HEADER).tobytes().decode())


def _whole_states(folder, damaged):
    for path in state_paths(folder):
        if path != damaged:
            try:
                progress = _read_state(path)[1]
            except Exception:  # as above
                continue
            return f"resume the last whole one, {path} (epoch {progress['epoch']}, step {progress['step']})"
    return f"no other whole one is in {folder}"
