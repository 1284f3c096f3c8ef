"""Reproduce recipes: start or resume their runs as subprocesses, then enter the results in the file of recipes."""

from __future__ import annotations

import os
import shlex
from typing import List, Optional

from ..machine.gpus import find_gpus
from ..options.command_line import command
from ..options.fields import flag_name
from ..runs import run_folders, states
from ..system import console
from ..system.errors import InputError
from ..system.signals import Interrupted
from . import recipes
from .options import ReproductionOptions
from .recipe_runs import MODELS, count_epochs, load_run, locate_params
from .results import save_result
from .subprocesses import package_command, run_passing_signals


def reproduce(recipe: recipes.Recipe, options: ReproductionOptions) -> int:
    """Start or resume the run of a recipe, and enter its result when it has ended.

    Returns
    -------
    int
        Exit code of the training; 0 if the run was already finished.

    Raises
    ------
    InputError
        If the recipe has no flags, or the run with its name has other options.
    Interrupted
        After SIGINT, SIGTERM or SIGHUP, once the training has saved and left.
    """
    words = next_command(recipe, options)
    code, signum = 0, None
    if words is None:
        print(f"{recipe.name}: done before", flush=True)
    else:
        console.say(f"{recipe.name}: {shlex.join(words)}")
        code, signum = run_passing_signals(words)
    if code == 0:
        entered = save_result(recipe, options)
        print(f"{recipe.name}: {entered.ours} ({entered.conditions})", flush=True)
    if signum:
        raise Interrupted(f"stopped in {recipe.name}; the same command resumes it", signum)
    return code if code >= 0 else 128 - code


def next_command(recipe: recipes.Recipe, options: ReproductionOptions) -> Optional[List[str]]:
    """Return the command that starts or resumes the run of a recipe as a list of words, or None if it is done.

    Raises
    ------
    InputError
        As `reproduce` does, or if another recipe has to be run before.
    """
    folder = os.path.join(options.model_dir, recipe.name)
    state = load_run(recipe, folder)
    if state is None:
        words = _start_command(recipe, options)
        _remove_unsaved(folder)
    else:
        done, epochs = count_epochs(state)
        if done >= epochs:
            return None
        words = [*package_command(recipes.command_of(recipe)), "--resume", folder]
    for name in ("log_dir", "data_dir"):
        path = getattr(options, name)
        if path is not None:
            words += [flag_name(name), path]
    return [*words, "--quiet"] if console.is_quiet() else words


def _start_command(recipe: recipes.Recipe, options: ReproductionOptions) -> List[str]:
    return [
        *package_command(recipes.command_of(recipe)),
        *("--recipe", recipe.name),
        *("--recipes", options.recipes or recipes.PATH),
        *("--name", recipe.name),
        *("--model-dir", options.model_dir),
        *_initial_weights(recipe, options.model_dir),
        *_devices(recipe),
    ]


def _initial_weights(recipe: recipes.Recipe, model_dir: str) -> List[str]:
    """Return the flags for the parameters that a recipe starts from; raise if another recipe has to be run before."""
    params = recipes.read_options(recipe).params
    if params is None:
        return []
    path = locate_params(params, model_dir)
    if params.startswith(MODELS):
        folder = os.path.dirname(path)
        fault = _describe_missing(path, folder)
        if fault:
            raise InputError(
                f"recipe {recipe.name} starts from {path}, {fault}: run that recipe first, as by "
                f"{command('reproduce')} {os.path.basename(folder)} {recipe.name}"
            )
    return ["--params", path]


def _describe_missing(path: str, folder: str) -> Optional[str]:
    """Return why a run cannot start from another run's parameters yet; None if it can, or no state says otherwise."""
    if not os.path.exists(path):
        return "which does not exist"
    if states.state_paths(folder):
        done, epochs = count_epochs(states.load_state(folder, with_arrays=False))
        if done < epochs:
            return f"whose run has {done} of its {epochs} epochs"
    return None


def _devices(recipe: recipes.Recipe) -> List[str]:
    """Return the flags that keep a recipe on one device, which its batch is for, where there are several GPUs."""
    own = recipes.read_options(recipe)
    if own.num_gpus is None and own.gpus is None and own.num_cpus == 1 and len(find_gpus().usable) > 1:
        return ["--num-gpus", "1"]
    return []


def _remove_unsaved(folder: str) -> None:
    """Remove the folder of a run that was killed before it saved a complete state."""
    if run_folders.never_saved(folder):
        with run_folders.exclusive(folder):
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))
            os.rmdir(folder)
