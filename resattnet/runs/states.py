"""Write and read states: everything that a run needs to continue as if it had never stopped.

A run's folder holds the two newest states, `last.state` and `previous.state`, in NumPy's npz format.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from ..system.errors import InputError, reason
from ..system.files import write_atomically
from .progress import Progress

NAMES = ("last.state", "previous.state")  # the newest state, and the one before
_HEADER = "progress"  # the array that holds the JSON text of everything that is not an array


class State(NamedTuple):
    """A state of a run, as read from its file.

    Attributes
    ----------
    arrays : dict of str to array
        Parameters, the optimizer's arrays and random generators, as `training.checkpoints` names them.
    progress : dict
        Arguments of `progress.Progress`.
    options : dict
        Arguments of `training.options.TrainingOptions`.
    folder : str
        The run's folder.
    """

    arrays: Dict[str, Any]
    progress: Dict[str, Any]
    options: Dict[str, Any]
    folder: str


def save_state(folder: str, arrays: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
    """Write a state as `last.state`. The state that had that name becomes `previous.state`.

    Parameters
    ----------
    folder : str
        The run's folder.
    arrays : mapping of str to array
    progress : mapping
        The fields of `progress.Progress`, and `options`, of JSON types.
    """
    header = np.frombuffer(json.dumps(progress).encode(), np.uint8)

    def write(temporary: str) -> None:
        with open(temporary, "wb") as handle:
            np.savez(handle, **{_HEADER: header}, **arrays)

    newest, before = (os.path.join(folder, name) for name in NAMES)
    write_atomically(newest, write, keep=before)


def state_paths(folder: str) -> List[str]:
    """Return the paths of the states in a run's folder, the newest first."""
    return [path for path in (os.path.join(folder, name) for name in NAMES) if os.path.exists(path)]


def load_state(path: str, with_arrays: bool = True) -> State:
    """Read a state.

    Parameters
    ----------
    path : str
        A run's folder, or one of its states.
    with_arrays : bool
        Whether to read the arrays. Otherwise `State.arrays` is empty.

    Raises
    ------
    InputError
        If there is no state, it was written by another version, or it is damaged. If it is damaged, the message names
        the newest intact state.
    """
    if os.path.isdir(path):
        folder = path
        path = next(iter(state_paths(path)), os.path.join(path, NAMES[0]))
    else:
        folder = os.path.dirname(path) or "."
    if not os.path.exists(path):
        raise InputError(f"{path}: there is no saved state to resume")
    if not path.endswith(".state"):
        raise InputError(f"{path} is not a saved state: give the run's folder, or the last.state in it")
    try:
        arrays, progress = _read_state(path, with_arrays)
    except Exception as error:  # NumPy, zipfile and tokenize raise more types for damaged bytes than they document
        raise InputError(f"{path} is damaged ({reason(error)}): {_newest_intact_state(folder, path)}") from error
    options = progress.pop("options")
    unknown = sorted(set(progress) - {field.name for field in dataclasses.fields(Progress)})
    if unknown:
        raise InputError(f"{path}: another version of resattnet saved it: {', '.join(unknown)} unknown here")
    return State(arrays, progress, options, folder)


def _read_state(path: str, with_arrays: bool = True) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    # Opened here, since NumPy leaves a file open that is not an archive.
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as state:
        arrays = {name: state[name] for name in state.files if with_arrays or name == _HEADER}
    return arrays, json.loads(arrays.pop(_HEADER).tobytes().decode())


def _newest_intact_state(folder: str, damaged: str) -> str:
    """Return the end of the message about a damaged state: which other state to resume."""
    for path in state_paths(folder):
        if path != damaged:
            try:
                progress = _read_state(path)[1]
            except Exception:  # as above
                continue
            return f"resume the newest intact state, {path} (epoch {progress['epoch']}, step {progress['step']})"
    return f"there is no other intact state in {folder}"
