"""Find the run of a recipe on disk, and check that it has the recipe's options and initial weights."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Tuple

from ..options.fields import assignment, flag_value
from ..run_options.options import RunOptions
from ..run_options.resume import options_from_state
from ..runs import states
from ..runs.progress import Progress, with_tuples
from ..system.errors import InputError
from ..system.files import digest
from ..training.ending import Ending
from . import recipes

# Options in which a run may differ from its recipe: paths, and what is shown and saved. The conditions of a result
# name COMPARED_IF_GIVEN, which are compared only if the recipe gives them.
NOT_COMPARED = (
    "name",
    "data_dir",
    "log_dir",
    "model_dir",
    "workers",
    "log_interval",
    "save_period",
    "save_minutes",
    "mask_images",
    "mask_period",
)
# Options that a run with a time limit chooses for itself.
CHOSEN_IN_TIME = (
    "epochs",
    "max_steps",
    "warmup_epochs",
    "lr_steps",
    "lr_restarts",
    "lr_restart_factor",
    "mixup_off_epochs",
)
COMPARED_IF_GIVEN = ("num_gpus", "gpus", "seed")
MODELS = "models/"  # the prefix of a recipe's `params` if these are the parameters of another recipe's run


def load_run(recipe: recipes.Recipe, folder: str) -> Optional[states.State]:
    """Return the last state of a recipe's run, or None if the folder has none.

    Raises
    ------
    InputError
        If the run has, or had before it was resumed, other options than the recipe.
    """
    if not states.state_paths(folder):
        return None
    state = states.load_state(folder)
    try:
        options = options_from_state(state.options).effective
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    own = recipes.read_options(recipe).effective
    wanted = _compared(dict(own, params=own["params"] and locate_params(own["params"], os.path.dirname(folder))))
    if own["time_limit"]:
        wanted = {name: value for name, value in wanted.items() if name not in CHOSEN_IN_TIME}
    stages: List[Tuple[str, Dict[str, Any]]] = [("has {}", options)]
    for change in reversed(state.progress.get("changes", [])):
        options = dict(options, **change["options"])
        stages.append((f"had {{}} until step {change['step']}", options))
    for words, options in stages:
        found = _compared(options)
        for name, value in wanted.items():
            is_given = name not in COMPARED_IF_GIVEN or value != getattr(RunOptions, name)
            if found[name] != value and is_given:
                raise InputError(
                    f"{folder} is not a run of recipe {recipe.name}, which has {assignment(name, value)} where the run "
                    f"{words.format(flag_value(found[name]))}: move it away, or give another `model_dir`"
                )
    return state


def count_epochs(state: states.State) -> Tuple[int, int]:
    """Return how many epochs of a run are done, and how many it has: those done if it ended early."""
    options, progress = options_from_state(state.options), Progress(**state.progress)
    if not progress.epoch_steps:  # a state of an early version
        return progress.epoch, options.epochs
    ending = Ending(options, progress.epoch_steps)
    if ending.why_early(progress):
        return progress.epoch, progress.epoch
    return ending.epochs if ending.is_reached(progress) else progress.epoch, ending.epochs


def locate_params(path: str, model_dir: str) -> str:
    """Return the path of a recipe's `params`, with `model_dir` in place of `MODELS`."""
    return os.path.join(model_dir, path[len(MODELS) :]) if path.startswith(MODELS) else path


def check_initial_weights(recipe: recipes.Recipe, model_dir: str, folder: str, started_from: Optional[str]) -> None:
    """Check that a run started from the parameters of another recipe's run as they are now, if they still exist.

    Parameters
    ----------
    recipe : recipes.Recipe
        The recipe of the run.
    model_dir : str
        Folder of all runs.
    folder : str
        Folder of the run.
    started_from : str or None
        SHA-256 of the parameters that the run started from.

    Raises
    ------
    InputError
        If they are other parameters.
    """
    params = recipes.read_options(recipe).params
    if params is None or not params.startswith(MODELS):
        return
    path = locate_params(params, model_dir)
    if os.path.exists(path) and digest(path) != started_from:
        raise InputError(
            f"{folder} started from parameters that differ from those in {path} now: "
            "move it away, or give another `model_dir`"
        )


def _compared(effective: Dict[str, Any]) -> Dict[str, Any]:
    """Return the options that decide the result of a run, out of those that `RunOptions.effective` gives."""
    chosen = dict(effective, params=effective["params"] and os.path.abspath(effective["params"]))
    return {name: value for name, value in with_tuples(chosen).items() if name not in NOT_COMPARED}
