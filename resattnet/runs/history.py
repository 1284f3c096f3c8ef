"""Find runs on disk, and read their figures and options from their logs and states."""

from __future__ import annotations

import csv
import io
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ..options.fields import flag_name, flag_value
from ..system.errors import InputError, reason
from ..system.files import list_folder
from ..system.input_files import read_text
from ..system.suggestions import suggest
from . import states
from .options import RunFolderOptions
from .state_checks import FIGURES, check_row

LOG_DIR = RunFolderOptions.log_dir
Row = Dict[str, Any]  # the figures of an epoch by column


class RunHistory(NamedTuple):
    """Rows, options and remarks read from the logs and states of a run.

    Attributes
    ----------
    rows : list of dict
        The figures of each whole epoch, with all of `FIGURES`.
    options : dict or None
        Arguments of `run_options.options.TrainingOptions` when the run was last started; None where no state has them.
    remarks : list of str
        What is missing, and why.
    """

    rows: List[Row]
    options: Optional[Dict[str, Any]]
    remarks: List[str]


def find_run(run: str, log_dir: Optional[str], model_dir: str) -> Tuple[str, Optional[str]]:
    """Find a run by its folder or its name.

    Parameters
    ----------
    run : str
        A run's folder, or its name in `model_dir` or in the CSV logs.
    log_dir : str or None
        Folder of the logs; None for `LOG_DIR`.
    model_dir : str
        Folder of the runs' folders.

    Returns
    -------
    name : str
    folder : str or None
        None if only the run's CSV log was found.

    Raises
    ------
    InputError
        If there is no such run. The message suggests similar names.
    """
    name = os.path.basename(os.path.abspath(run))
    is_name = os.path.basename(run) == run
    log_dir = log_dir or LOG_DIR
    for folder in [os.path.join(model_dir, run), run] if is_name else [run]:
        if _is_run(folder):
            return name, folder
    if is_name and os.path.exists(_csv_path(run, log_dir)):
        return name, None
    home = model_dir if is_name else os.path.dirname(os.path.abspath(run))
    known = _run_folders(home)
    if is_name:
        known += _csv_names(log_dir)
    where = f" in {home}" if is_name else ""
    raise InputError(f"{run}: no such run{where}; {_other_runs(name, known)}")


def _other_runs(name: str, known: List[str]) -> str:
    """Return the end of the message about a run that does not exist: which runs exist, of the `known` names."""
    others = sorted(set(known) - {name})
    if not others:
        return "there are no other runs: give the folder of a run, or `model_dir`"
    return suggest(name, others) or f"existing runs: {', '.join(others[:3])}"


def _is_run(folder: str) -> bool:
    """Return whether a folder contains what a run leaves behind: states or parameters."""
    return any(file.endswith((".state", ".params")) for file in list_folder(folder))


def _run_folders(home: str) -> List[str]:
    return [name for name in list_folder(home) if _is_run(os.path.join(home, name))]


def _csv_names(log_dir: str) -> List[str]:
    return [name[: -len(".csv")] for name in list_folder(os.path.join(log_dir, "csv")) if name.endswith(".csv")]


def _csv_path(name: str, log_dir: str) -> str:
    return os.path.join(log_dir, "csv", name + ".csv")


def read_history(name: str, folder: Optional[str], log_dir: Optional[str] = None) -> RunHistory:
    """Read the history of a run.

    Parameters
    ----------
    name : str
    folder : str or None
        As `find_run` returns them.
    log_dir : str, optional
        Folder of the logs. Default: the folder that the run's state names, then `LOG_DIR`.

    Raises
    ------
    InputError
        If the run's CSV is damaged.
    """
    remarks: List[str] = []
    state, saved_at = _read_newest_state(folder, remarks)
    if state:
        remarks += [_describe_change(change) for change in state.progress.get("changes", ())]
    log_dirs = [LOG_DIR]
    if log_dir:
        log_dirs = [log_dir]
    elif state:
        log_dirs.insert(0, str(state.options.get("log_dir", LOG_DIR)))
    paths = [_csv_path(name, log_dir) for log_dir in log_dirs]
    path = next(filter(os.path.exists, paths), paths[0])
    rows = _choose_rows(path, state, saved_at, remarks)
    if not rows:
        remarks.append("no figures: no epoch is complete yet, or the CSV and the states are missing")
    return RunHistory(rows, state.options if state else None, remarks)


def _describe_change(change: Mapping[str, Any]) -> str:
    before = (f"{flag_name(name)} {flag_value(value)}" for name, value in change["options"].items())
    return f"until step {change['step']} it had {', '.join(before)}"


def _choose_rows(path: str, state: Optional[states.State], saved_at: float, remarks: List[str]) -> List[Row]:
    """Return the rows of the CSV at `path`, or those of the state if the CSV is missing or of other training."""
    rows = read_csv(path) if os.path.exists(path) else []
    if not state:
        if rows:
            remarks.append(f"no state confirms the figures of {path}")
        return rows
    history = state.progress.get("history", [])
    if not rows:
        if history:
            remarks.append(f"{path} is not there: the figures are those of the run's state")
        return history
    # The disk of the CSV may have been full, another run of the same name may have overwritten it, or a figure may have
    # been changed. The state has the rows of what was trained.
    confirmed, later = rows[: len(history)], rows[len(history) :]
    if not history and os.path.getmtime(path) < saved_at or _as_text(confirmed) != _as_text(history):
        remarks.append(f"{path} has other rows than the run's state: the figures are the state's")
        return history
    if later:
        remarks.append(f"{path}: no state confirms the figures from epoch {len(history) + 1} on")
    return rows


def _as_text(rows: List[Row]) -> List[Dict[str, str]]:
    """Return rows that can be compared: NaN differs from itself."""
    return [{name: repr(float(value)) for name, value in row.items()} for row in rows]


def _read_newest_state(folder: Optional[str], remarks: List[str]) -> Tuple[Optional[states.State], float]:
    """Return the newest whole state, without its arrays, and the time at which it was saved; None and 0 without one."""
    paths = states.state_paths(folder) if folder else []
    if not paths:
        problem = f"no state is in {folder}" if folder else "its folder of parameters and states is not there"
        remarks.append(f"{problem}: its arguments are unknown")
    for path in paths:
        try:
            return states.load_state(path, with_arrays=False), os.path.getmtime(path)
        except InputError as error:
            remarks.append(str(error))
    return None, 0.0


def read_csv(path: str) -> List[Row]:
    """Read the CSV of a run, as dicts of numbers. Empty cells, allowed except for `FIGURES`, are left out.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    try:
        lines = io.StringIO(read_text(path), newline="")
        rows = [_numbers(row) for row in csv.DictReader(lines, strict=True)]
        if not rows:
            raise ValueError("it has no rows")
        if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("its epochs are not 1, 2, 3 and so on")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} is damaged ({reason(error)}): repair or delete it; without it the figures come from the run's "
            "state"
        ) from error
    return rows


def _numbers(row: Mapping[Any, Any]) -> Row:
    missing = [name for name in FIGURES if not row.get(name)]
    if missing:
        raise ValueError(f"a row has no {', '.join(missing)}")
    if None in row:  # csv's key for the cells beyond the last column
        raise ValueError("a row has too many cells")
    numbers = {name: int(text) if name in ("epoch", "step") else float(text) for name, text in row.items() if text}
    check_row(numbers)
    return numbers
