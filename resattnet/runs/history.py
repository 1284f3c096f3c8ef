"""Runs that were, as they lie on disk: where they are, their figures and their arguments."""

import csv
import difflib
import os
from typing import Any, NamedTuple

from ..system.errors import InputError
from ..system.options import flag_name, flag_value
from . import states

LOG_DIR = "log"
# Columns of the CSV that every run has; others may be there.
FIGURES = (
    "epoch",
    "learning_rate",
    "train_loss",
    "validation_loss",
    "validation_top1",
    "validation_top5",
    "samples_per_second",
    "seconds",
)


class RunHistory(NamedTuple):
    """What the logs and states of a run say.

    Attributes
    ----------
    rows : list of dict
        The figures of each whole epoch; `FIGURES` are in each.
    options : dict or None
        Arguments of `options.TrainingOptions`, as of its last start; None where no state has them.
    remarks : list of str
        What is missing, and why.
    """

    rows: list
    options: Any
    remarks: list


def find_run(run, log_dir, model_dir):
    """Name and folder (None if only its CSV is there) of a run given by its folder or name.

    Raises
    ------
    InputError
        If there is no such run; the message has the nearest names.
    """
    name = os.path.basename(os.path.abspath(run))
    plain = os.path.basename(run) == run
    for folder in [os.path.join(model_dir, run)] * plain + [run]:
        if _is_run(folder):
            return name, folder
    log_dir = log_dir or LOG_DIR
    if plain and os.path.exists(_csv_path(run, log_dir)):
        return name, None
    home = model_dir if plain else os.path.dirname(os.path.abspath(run))
    known = _names(home, "") + _names(os.path.join(log_dir, "csv"), ".csv") * plain
    nearest = difflib.get_close_matches(name, sorted(set(known) - {name}), 3, 0.4) or sorted(set(known) - {name})[:3]
    raise InputError(
        "{}: no such run{}; {}".format(
            run,
            f" in {home}" if plain else "",
            "the nearest: " + ", ".join(nearest) if nearest else "nor any other: give a run's folder, or --model-dir",
        )
    )


def _is_run(folder):
    """Whether a folder has what a run leaves: states or parameters."""
    try:
        return any(file.endswith((".state", ".params")) for file in os.listdir(folder))
    except OSError:  # no folder, or one that is not ours to read
        return False


def _names(folder, ending):
    """Names of the runs that have a folder, or a file of that ending, in a folder."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [
        name[: len(name) - len(ending)]
        for name in names
        if (name.endswith(ending) if ending else _is_run(os.path.join(folder, name)))
    ]


def _csv_path(name, log_dir):
    return os.path.join(log_dir, "csv", name + ".csv")


def read_history(name, folder, log_dir=None):
    """`RunHistory` of a run that `find_run` found; without `log_dir` they are looked for where the run's state says, then in log.

    Raises
    ------
    InputError
        If its CSV is damaged.
    """
    remarks = []
    state, saved_at = _read_state(folder, remarks)
    history = state.progress["history"] if state else []
    for change in state.progress.get("changes", ()) if state else ():
        before = (f"{flag_name(name)} {flag_value(value)}" for name, value in change["options"].items())
        remarks.append(f"until step {change['step']} it had {', '.join(before)}")
    log_dirs = [log_dir] if log_dir else [state.options["log_dir"]] * bool(state) + [LOG_DIR]
    paths = [_csv_path(name, log_dir) for log_dir in log_dirs]
    path = next(filter(os.path.exists, paths), paths[0])
    rows = read_csv(path) if os.path.exists(path) else []
    if not rows and history:
        remarks.append(f"{path} is not there: the figures are those of the run's state")
    # A log's disk may have been full, or another run of the name have written it; the state is what was trained.
    elif (
        state and rows and not (_same(rows[: len(history)], history) if history else os.path.getmtime(path) >= saved_at)
    ):
        remarks.append(f"{path} has other rows than the run's state: the figures are the state's")
    else:
        history = rows
    if not history:
        remarks.append("no epoch of it is whole yet, or it has neither CSV nor state: there are no figures")
    return RunHistory(history, state and state.options, remarks)


def _same(rows, others):
    """Whether the rows of epochs are of one run."""
    return [row["validation_loss"] for row in rows] == [row["validation_loss"] for row in others]


def _read_state(folder, remarks):
    """The newest whole state, without its arrays, and the time at which it was saved; twice None without one."""
    paths = states.state_paths(folder) if folder else []
    if not paths:
        remarks.append(
            f"{(f'no state is in {folder}' if folder else 'its folder of parameters and states is not there')}: "
            "its arguments are unknown"
        )
    for path in paths:
        try:
            return states.load_state(path, with_arrays=False), os.path.getmtime(path)
        except InputError as error:
            remarks.append(str(error))
    return None, None


def read_csv(path):
    """The rows of a run's CSV as dicts of numbers; empty cells, which `FIGURES` may not have, are left out.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = [_numbers(row) for row in csv.DictReader(handle, strict=True)]
        if not rows or [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("its epochs are not 1, 2, 3 and so on" if rows else "it has no rows")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} is damaged ({error}): mend or delete it; without it the figures come from the run's state"
        ) from error
    return rows


def _numbers(row):
    missing = [name for name in FIGURES if not row.get(name)]
    if missing or None in row:
        raise ValueError(f"a row has {('no ' + ', '.join(missing) if missing else 'too many cells')}")
    return {name: int(text) if name in ("epoch", "step") else float(text) for name, text in row.items() if text}
