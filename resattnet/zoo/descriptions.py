"""Read the description beside a parameter file, and suggest another file where it is missing or damaged.

`net.params` has its description in `net.json`: the network, the data set, figures, and the SHA-256 of `net.params` and
of the description itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import reprlib
from typing import Any, Dict, Mapping, Optional, Tuple

from ..models.spec import NetworkSpec
from ..options.fields import MODEL_DIR, assignment
from ..options.spellings import BEST_FIT
from ..system.errors import InputError, reason
from ..system.files import TEMPORARY, digest, digest_values, list_folder
from ..system.input_files import check_regular, read_json
from ..system.suggestions import suggest
from . import packaged

BEST = "best.params"  # the file of a run that holds the parameters of the epoch with the highest top-1
OWN_DIGEST = "description_sha256"  # of the description without it; descriptions of earlier versions have none
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(NetworkSpec)}  # of fields not described
_TYPES = {"network": dict, "data": dict, "dataset": str, "data_format": str, "data_dir": str, "sha256": str}


def description_path(path: str) -> str:
    """Return the path of the description of a parameter file."""
    return os.path.splitext(path)[0] + ".json"


def read_description(path: str) -> Optional[Dict[str, Any]]:
    """Return the description beside a parameter file, or None if there is none.

    Parameters
    ----------
    path : str
        The parameter file.

    Raises
    ------
    InputError
        If there is no such parameter file, its description is damaged, or its SHA-256 is not the one in the
        description because the file is damaged or was replaced. The message names a file that can be used instead.
    """
    _check_is_parameter_file(path)
    beside = description_path(path)
    try:
        found = digest(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({reason(error)})") from error
    try:
        description = _parse_description(beside)
    except FileNotFoundError:
        return _unfinished_description(path, found)
    except (OSError, ValueError) as error:
        unfinished = _unfinished_description(path, found)
        if unfinished is None:
            raise InputError(f"{beside} is damaged ({reason(error)}): {intact_parameters(path)}") from error
        return unfinished
    if description["sha256"] == found:
        return description
    unfinished = _unfinished_description(path, found)
    if unfinished is None:
        raise InputError(
            f"{path} is damaged: its SHA-256 is not the one in {os.path.basename(beside)}; {intact_parameters(path)}"
        )
    return unfinished


def _unfinished_paths(path: str) -> Tuple[str, ...]:
    """Return where a save or an export that was killed between its two renames leaves the description of a file."""
    return description_path(path) + TEMPORARY, description_path(os.path.splitext(path)[0] + TEMPORARY + ".params")


def _unfinished_description(path: str, found: str) -> Optional[Dict[str, Any]]:
    """Return the description that a killed save left under its temporary name, if it has the SHA-256 `found`."""
    for beside in _unfinished_paths(path):
        with contextlib.suppress(OSError, ValueError):
            description = _parse_description(beside)
            if description["sha256"] == found:
                return description
    return None


def finish_save(path: str) -> None:
    """Put the description in place that belongs to a parameter file, if a save was killed between its two renames.

    A save calls this first: it writes its own description to the temporary name that is read here.
    """
    if os.path.isfile(path) and any(map(os.path.isfile, _unfinished_paths(path))):
        found = digest(path)
        for beside in _unfinished_paths(path):
            with contextlib.suppress(ValueError, FileNotFoundError):
                if _parse_description(beside)["sha256"] == found:
                    os.replace(beside, description_path(path))


def _parse_description(path: str) -> Dict[str, Any]:
    """Return the description in a JSON file; raise ValueError if a value that commands use has another type."""
    description = read_json(path, finite=False)  # the loss of a run that diverges may be infinite
    if not isinstance(description, dict) or not isinstance(description.get("network", {}), dict):
        raise ValueError("it is not a JSON object with an object `network`")
    if OWN_DIGEST in description and description[OWN_DIGEST] != digest_values(description, OWN_DIGEST):
        raise ValueError(f"a value was changed; to keep the change, remove {OWN_DIGEST}")
    for name, kind in _TYPES.items():
        if description.get(name, kind) is None:
            del description[name]
        if not isinstance(description.get(name, kind()), kind):
            raise ValueError(f"its {name} is {reprlib.repr(description[name])}")
    description.setdefault("sha256", "")
    return description


def find_packaged(path: str, network: Mapping[str, Any]) -> str:
    """Return the name of the packaged parameters of a network if `path` is "packaged" and no file; else `path`.

    Parameters
    ----------
    path : str
    network : mapping of str to value
        Fields of `NetworkSpec`. Those that are None or missing may have any value.

    Raises
    ------
    InputError
        If no packaged parameters fit the network, or several do.
    """
    if path != BEST_FIT or os.path.isfile(path):
        return path
    fitting, known = [], []
    for name in packaged.packaged_names():
        described = (read_description(packaged.packaged_path(name)) or {}).get("network", {})
        own = {**_DEFAULTS, **described}
        known.append(
            f"{name} ({' '.join(assignment(field, own[field]) for field in ('num_layers', 'widths', 'unit'))})"
        )
        if all(value in (None, own[field]) for field, value in network.items()):
            fitting.append(name)
    if len(fitting) == 1:
        return fitting[0]
    problem = f"{' and '.join(fitting)} fit the network" if fitting else "no packaged parameters fit the network"
    raise InputError(f"`params`: {problem}; there are {', '.join(known) or 'none'}")


def _check_is_parameter_file(path: str) -> None:
    """Raise InputError if a path is a folder, a state of a run, or missing."""
    is_folder = os.path.isdir(path)
    if is_folder or path.endswith(".state"):
        kind = "folder" if is_folder else "state of a run"
        best = os.path.join(path if is_folder else os.path.dirname(path), BEST)
        example = f", as {best}" if os.path.isfile(best) else ""
        raise InputError(f"{path} is a {kind}: give a parameter file{example}")
    if not os.path.isfile(path):
        try:
            check_regular(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({reason(error)})") from error
        suggestion = _suggest_path(path)
        raise InputError(f"{path}: no such parameter file{'; ' if suggestion else ''}{suggestion}")


def _suggest_path(path: str) -> str:
    """Return the end of a message: an existing parameter file with a name similar to that of a missing one.

    The candidates are the other parameter files of its folder or, if the folder is missing, the files of the same name
    in other runs. For a name without a folder, they include the packaged parameters and the best ones of each run.
    """
    folder, name = os.path.split(path)
    if os.path.isdir(folder or "."):
        candidates = {
            other: os.path.join(folder, other) for other in list_folder(folder or ".") if other.endswith(".params")
        }
        if not folder:
            candidates.update({other: other for other in packaged.packaged_names()})
            candidates.update(_files_of_runs(MODEL_DIR, BEST))
    else:
        home, name = os.path.split(folder)
        candidates = _files_of_runs(home, os.path.basename(path))
    return suggest(name, candidates, count=1, cutoff=0.6, shown=candidates)


def _files_of_runs(home: str, name: str) -> Dict[str, str]:
    """Return the path of the file `name` in each sub-folder of `home` that has one, by sub-folder."""
    paths = {folder: os.path.join(home, folder, name) for folder in list_folder(home or ".")}
    return {folder: path for folder, path in paths.items() if os.path.isfile(path)}


def intact_parameters(path: str) -> str:
    """Return the end of a message on a damaged parameter file: its folder's newest file that is not damaged."""
    folder = os.path.dirname(path) or "."
    if packaged.is_packaged(path):
        return packaged.INSTALL_AGAIN
    others = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".params")]
    for other in sorted(filter(os.path.isfile, others), key=os.path.getmtime, reverse=True):
        if os.path.abspath(other) != os.path.abspath(path):
            with contextlib.suppress(OSError, ValueError):
                if _parse_description(description_path(other))["sha256"] == digest(other):
                    return f"the newest intact file is {other}"
    return f"there is no other intact file in {folder}"
