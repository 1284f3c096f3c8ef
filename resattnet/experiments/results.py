"""Enter the results of recipes' runs in the file of recipes."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Tuple

from ..options.command_line import command
from ..run_options.resume import options_from_state
from ..runs import history, states
from ..system.errors import InputError
from . import recipes
from .options import ReproductionOptions
from .recipe_runs import MODELS, check_initial_weights, count_epochs, load_run


def save_result(recipe: recipes.Recipe, options: ReproductionOptions) -> recipes.Recipe:
    """Enter the result of a recipe's finished run in the file of recipes.

    The result is read from the state of the run, which has the rows of the run's CSV: the CSV itself may have been
    overwritten by another run of the same name.

    Returns
    -------
    recipes.Recipe
        The recipe as entered.

    Raises
    ------
    InputError
        If the run does not exist, has not ended or has other options, or the file cannot be written.
    """
    state = _load_finished(recipe, options)
    folder = os.path.join(options.model_dir, recipe.name)
    check_initial_weights(recipe, options.model_dir, folder, state.progress.get("started_from"))
    errors = [_error_percent(row["validation_top1"]) for row in state.progress["history"]]
    best = min(errors)
    conditions = _describe_conditions(state, best_epoch=errors.index(best) + 1)
    if options.note:
        conditions += "; " + options.note
    elif recipe.conditions.startswith(conditions + "; "):
        conditions = recipe.conditions  # the same run, entered before with a note
    entered = recipe._replace(ours=f"{errors[-1]:.2f}, best {best:.2f}", conditions=conditions)
    recipes.enter_result(options.recipes or recipes.PATH, entered)
    return entered


def load_stages(
    recipe: recipes.Recipe, options: ReproductionOptions, logs: str
) -> List[Tuple[str, List[Dict[str, Any]]]]:
    """Return name and rows of a recipe's finished run and of the runs that it started from, the earliest first.

    Earlier runs are read from their states, or from the logs that were kept in the folder `logs`; the list begins
    after a run that has neither.
    """
    return [*_load_earlier(recipe, options, logs), (recipe.name, _load_finished(recipe, options).progress["history"])]


def _load_earlier(
    recipe: recipes.Recipe, options: ReproductionOptions, logs: str
) -> List[Tuple[str, List[Dict[str, Any]]]]:
    params = recipes.read_options(recipe).params
    if params is None or not params.startswith(MODELS):
        return []
    name = os.path.basename(os.path.dirname(params))
    folder, log = os.path.join(options.model_dir, name), os.path.join(logs, name + ".csv")
    if states.state_paths(folder):
        rows = states.load_state(folder, with_arrays=False).progress["history"]
    elif os.path.exists(log):
        rows = history.read_csv(log)
    else:
        return []
    table = recipes.read_recipes(options.recipes or recipes.PATH)
    earlier = [stage for known in table if known.name == name for stage in _load_earlier(known, options, logs)]
    return [*earlier, (name, rows)]


def _error_percent(accuracy: float) -> float:
    """Return the error in % for an accuracy from 0 to 1."""
    return 100 * (1 - accuracy)


def _load_finished(recipe: recipes.Recipe, options: ReproductionOptions) -> states.State:
    folder = os.path.join(options.model_dir, recipe.name)
    state = load_run(recipe, folder)
    if state is None:
        raise InputError(f"{folder}: no run of recipe {recipe.name}")
    done, epochs = count_epochs(state)
    if done < epochs:
        raise InputError(f"{folder} has {done} of its {epochs} epochs: {command('reproduce')} {recipe.name} resumes it")
    return state


def _describe_conditions(state: states.State, best_epoch: int) -> str:
    options, progress = state.options, state.progress
    seconds = sum(row["seconds"] for row in progress["history"])
    duration = f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    dataset = options_from_state(options).source.dataset
    return (
        f"{dataset}, {count_epochs(state)[1]} epochs, best after {best_epoch}, seed {options['seed']}, "
        f"{'float16' if options['float16'] else options['dtype']}, {duration} of training; "
        f"{'; then '.join(progress.get('machines') or ['machine not recorded'])}"
    )
