"""Write and read states: everything that a run needs to continue as if it had never stopped.

A run's folder holds the two newest states, `last.state` and `previous.state`, in NumPy's npz format.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
import zipfile
from typing import IO, Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from ..system.errors import InputError, reason
from ..system.files import write_atomically
from ..system.input_files import check_regular, parse_json
from .progress import Progress
from .state_checks import check_progress

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
        Arguments of `run_options.options.TrainingOptions`.
    folder : str
        The run's folder.
    path : str
        The state's file.
    """

    arrays: Dict[str, Any]
    progress: Dict[str, Any]
    options: Dict[str, Any]
    folder: str
    path: str = ""

    def damaged(self, why: str) -> InputError:
        """Return the error for a state that does not fit its run; it names the newest other state that is intact."""
        return _damaged(self.path, self.folder, why)


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
        arrays, progress, options = _read_state(path, with_arrays)
    except Exception as error:  # NumPy, zipfile and tokenize raise more types for damaged bytes than they document
        raise _damaged(path, folder, reason(error)) from error
    unknown = sorted(set(progress) - {field.name for field in dataclasses.fields(Progress)})
    if unknown:
        raise InputError(f"{path}: another version of resattnet saved it: {', '.join(unknown)} unknown here")
    return State(arrays, progress, options, folder, path)


def _damaged(path: str, folder: str, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}): {_newest_intact_state(folder, path)}")


def _read_state(path: str, with_arrays: bool = True) -> Tuple[Dict[str, Any], Dict[str, Any], Dict[str, Any]]:
    """Return the arrays, the checked progress and the options of a state."""
    check_regular(path)
    arrays: Dict[str, Any] = {}
    with open(path, "rb") as handle, zipfile.ZipFile(handle) as archive:
        _check_members(handle, archive)
        for member in archive.infolist():
            name = member.filename[: -len(".npy")]
            if name in arrays or not member.filename.endswith(".npy"):
                raise ValueError(f"it has {member.filename} twice, or as a file that is not an array")
            if with_arrays or name == _HEADER:
                with archive.open(member) as stream:
                    arrays[name] = _read_array(stream, member.file_size)
    progress = parse_json(arrays.pop(_HEADER).tobytes(), finite=False)
    options = progress.pop("options", None) if isinstance(progress, dict) else None
    if not isinstance(options, dict):
        raise ValueError("it has no options")
    check_progress(progress)
    return arrays, progress, options


def _check_members(handle: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Raise ValueError unless the members of an archive follow one another without compression up to its directory.

    `zipfile` does not notice a member that is missing from a damaged directory, or members that overlap.
    """
    place = 0
    for member in sorted(archive.infolist(), key=lambda one: one.header_offset):
        if member.header_offset != place or member.compress_type != zipfile.ZIP_STORED:
            raise ValueError("an array is missing, or is compressed")
        handle.seek(place + 26)
        name_length, extra_length = struct.unpack("<HH", handle.read(4))
        place += 30 + name_length + extra_length + member.compress_size
        if member.file_size != member.compress_size:
            raise ValueError("an array has a wrong size")
    if place != archive.start_dir:
        raise ValueError("an array is missing")


def _read_array(stream: IO[bytes], size: int) -> np.ndarray:
    """Return an array in NumPy's format, whose header must fit the size of its file in bytes."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has another format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    length = dtype.itemsize * math.prod(shape)
    if dtype.kind not in "fiu" or min(shape, default=0) < 0 or length != size - stream.tell():
        raise ValueError("an array has a wrong size or type")
    # A copy, since a buffer of bytes cannot be written to.
    return np.frombuffer(stream.read(), dtype).reshape(shape, order="F" if fortran_order else "C").copy()


def _newest_intact_state(folder: str, damaged: str) -> str:
    """Return the end of the message about a damaged state: which other state to resume."""
    for path in state_paths(folder):
        if os.path.abspath(path) != os.path.abspath(damaged):
            try:
                progress = _read_state(path)[1]
            except Exception:  # as above
                continue
            place = ", ".join(f"{name} {progress[name]}" for name in ("epoch", "step") if name in progress)
            return f"resume the newest intact state, {path} ({place})"
    return f"there is no other intact state in {folder}"
