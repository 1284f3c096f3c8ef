"""Read the description beside a parameter file, and suggest another file where it is missing or damaged.

`net.params` has its description in `net.json`: the network, the data set, figures, and the SHA-256 of `net.params`.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, Optional

from ..options.fields import MODEL_DIR, assignment
from ..options.spellings import BEST_FIT
from ..system.errors import InputError
from ..system.files import digest, list_folder
from ..system.suggestions import suggest
from . import packaged

BEST = "best.params"  # the file of a run that holds the parameters of the epoch with the highest top-1


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
        with open(beside, encoding="utf-8") as handle:
            description = json.load(handle)
        if not isinstance(description, dict) or not isinstance(description.get("network", {}), dict):
            raise ValueError("it is not a JSON object with an object `network`")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{beside} is damaged ({error}): {intact_parameters(path)}") from error
    if description.get("sha256") != digest(path):
        raise InputError(
            f"{path} is damaged: its SHA-256 is not the one in {os.path.basename(beside)}; {intact_parameters(path)}"
        )
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
        own = (read_description(packaged.packaged_path(name)) or {}).get("network", {})
        known.append(f"{name} ({' '.join(assignment(field, own.get(field)) for field in ('num_layers', 'widths'))})")
        if all(value in (None, own.get(field, value)) for field, value in network.items()):
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
    for other in sorted(others, key=os.path.getmtime, reverse=True):
        if os.path.abspath(other) != os.path.abspath(path) and os.path.exists(description_path(other)):
            with open(description_path(other), encoding="utf-8", errors="replace") as handle:
                text = handle.read()
            if digest(other) in text:
                return f"the newest intact file is {other}"
    return f"there is no other intact file in {folder}"
