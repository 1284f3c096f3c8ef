"""Runs of recipes: begun and gone on with as subprocesses of the training script, then entered in the recipes."""

import ctypes
import os
import shlex
import signal
import subprocess
import sys

from ..reports.curves import draw_errors
from ..reports.figure_style import save
from ..runs import history, run_folders, states
from ..system.errors import InputError
from ..system.files import digest, write_csv, writing
from ..system.gpus import find_gpus
from ..system.options import flag_name, flag_value
from ..system.signals import Interrupted, StopSignals
from ..training.options import TrainingOptions
from ..training.resume import options_from_state
from . import recipes

TRAIN = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts", "cifar10_train.py"
)
# What a recipe's run may have otherwise: where things lie, what is shown and saved, and, unless the recipe has its own,
# what the conditions name.
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
COMPARED_IF_GIVEN = ("num_gpus", "seed")
MODELS = "models/"  # where a recipe has the parameters of another one, by its name
_PR_SET_PDEATHSIG = 1


def reproduce(recipe, options):
    """Bring the run of a recipe to its end from where it stands, and enter what it gave.

    Parameters
    ----------
    recipe : recipes.Recipe
    options : experiments.options.ReproductionOptions

    Returns
    -------
    int
        Exit code of the training script, 0 where the run was done before.

    Raises
    ------
    InputError
        If the recipe has no flags, or the run of its name is of other ones.
    Interrupted
        After SIGINT or SIGTERM, once the training script has saved and left.
    """
    command = next_command(recipe, options)
    code, signum = 0, None
    if command is None:
        print(f"{recipe.name}: done before", flush=True)
    else:
        print(f"{recipe.name}: {shlex.join(command)}", flush=True)
        code, signum = run_passing_signals(command)
    if code == 0:
        entered = save_result(recipe, options)
        print(f"{recipe.name}: {entered.ours} ({entered.conditions})", flush=True)
    if signum:
        raise Interrupted(f"stopped in {recipe.name}; the same command goes on", signum)
    return code if code >= 0 else 128 - code


def next_command(recipe, options):
    """What is to be run for a recipe: a list of words, None where its run is done."""
    folder = os.path.join(options.model_dir, recipe.name)
    state = _state(recipe, folder)
    where = [
        word
        for name in ("log_dir", "data_dir")
        if getattr(options, name) is not None
        for word in (flag_name(name), getattr(options, name))
    ]
    if state is None:
        start = _start(recipe, options.model_dir)
        _clear(folder)
        return (
            [
                sys.executable,
                TRAIN,
                "--recipe",
                recipe.name,
                "--recipes",
                options.recipes,
                "--name",
                recipe.name,
                "--model-dir",
                options.model_dir,
            ]
            + start
            + _devices(recipe)
            + where
        )
    if state.progress["epoch"] >= state.options["epochs"]:
        return None
    return [sys.executable, TRAIN, "--resume", folder] + where


def _state(recipe, folder):
    """The last state of a recipe's run, None where there is none; an InputError if it is of other flags."""
    if not states.state_paths(folder):
        return None
    state = states.load_state(folder)
    try:
        options = options_from_state(state.options).effective
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    own = recipes.options(recipe).effective
    wanted = _compared(dict(own, params=own["params"] and _placed(own["params"], os.path.dirname(folder))))
    stages = [("has %s", options)]
    for change in reversed(state.progress.get("changes", [])):
        options = dict(options, **change["options"])
        stages.append((f"had %s until step {change['step']}", options))
    for what, options in stages:
        found = _compared(options)
        for name, value in wanted.items():
            if found[name] != value and (name not in COMPARED_IF_GIVEN or value != getattr(TrainingOptions, name)):
                raise InputError(
                    f"{folder} was not run by recipe {recipe.name}, which has {flag_name(name)} {flag_value(value)} where it {what % flag_value(found[name])}: move it away, or give "
                    "another --model-dir"
                )
    return state


def _compared(effective):
    """Of the options of a run, as of `TrainingOptions.effective`, those that decide what it gives."""
    chosen = dict(effective, params=effective["params"] and os.path.abspath(effective["params"]))
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in chosen.items()
        if name not in NOT_COMPARED
    }


def _start(recipe, model_dir):
    """The flags for the parameters that a recipe starts from; an InputError if another recipe is to be run before."""
    given = recipes.options(recipe).params
    if given is None:
        return []
    path = _placed(given, model_dir)
    if given.startswith(MODELS):
        folder = os.path.dirname(path)
        lacking = "which is not there" if not os.path.exists(path) else _unfinished(folder)
        if lacking:
            raise InputError(
                f"recipe {recipe.name} starts from {path}, {lacking}: run that recipe before, as by scripts/reproduce.py {os.path.basename(folder)} {recipe.name}"
            )
    return ["--params", path]


def _unfinished(folder):
    """How far the run of a folder is, where it has not ended; None where it has, or no state says so."""
    if not states.state_paths(folder):
        return None
    state = states.load_state(folder, with_arrays=False)
    done, epochs = state.progress["epoch"], state.options["epochs"]
    return f"whose run has {done} of its {epochs} epochs" if done < epochs else None


def _check_start(recipe, model_dir, folder, started_from):
    """Check that a run began with the parameters of another recipe as they are now, where they are still there."""
    given = recipes.options(recipe).params
    path = given and _placed(given, model_dir)
    if path and given.startswith(MODELS) and os.path.exists(path) and digest(path) != started_from:
        raise InputError(
            f"{folder} began with other parameters than those of {path}: move it away, or give another --model-dir"
        )


def _devices(recipe):
    """The flags that keep a recipe on one device, which its batch is for, where MXNet would take several GPUs."""
    own = recipes.options(recipe)
    several = own.num_gpus is None and own.num_cpus == 1 and len(find_gpus().usable) > 1
    return ["--num-gpus", "1"] if several else []


def _placed(path, model_dir):
    """Where parameters that a recipe starts from are, with `MODELS` in place of the folder of the runs."""
    return os.path.join(model_dir, path[len(MODELS) :]) if path.startswith(MODELS) else path


def _clear(folder):
    """Remove the folder of a run that was killed before its first state was whole."""
    if run_folders.never_saved(folder):
        with run_folders.exclusive(folder):
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))
        os.rmdir(folder)


def run_passing_signals(command):
    """Run a command to its end; each SIGINT and SIGTERM that comes meanwhile is passed on to it.

    It is in a session of its own, so that Ctrl-C, which a terminal sends to all, reaches it once: training takes the
    second one as an order to leave at once. If we are killed, it gets a SIGTERM.

    Returns
    -------
    code : int
        As `subprocess.Popen.returncode`.
    signum : int or None
        The first signal that came.
    """
    received = []

    def pass_on(number, _frame):
        received.append(number)
        child.send_signal(number)

    child = subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent())
    previous = {number: signal.signal(number, pass_on) for number in StopSignals.SIGNALS}
    try:
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code, received[0] if received else None


def _end_with_parent():
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def save_result(recipe, options):
    """Enter in the file of recipes what the ended run of one gave, from its own state.

    The state has the rows of the run's CSV, which another run of the name may have written over since.

    Returns
    -------
    recipes.Recipe
        As entered.

    Raises
    ------
    InputError
        If there is no such run, it has not ended, or the file cannot be written.
    """
    folder = os.path.join(options.model_dir, recipe.name)
    state = _state(recipe, folder)
    if state is None:
        raise InputError(f"{folder}: no run of recipe {recipe.name} is there")
    epochs, done = state.options["epochs"], state.progress["epoch"]
    if done < epochs:
        raise InputError(f"{folder} has {done} of its {epochs} epochs: scripts/reproduce.py {recipe.name} goes on")
    _check_start(recipe, options.model_dir, folder, state.progress.get("started_from"))
    rows = state.progress["history"]
    errors, seconds = [_error(row["validation_top1"]) for row in rows], sum(row["seconds"] for row in rows)
    best = min(errors)
    conditions = (
        f"{state.options['dataset']}, {epochs} epochs, best after {errors.index(best) + 1}, seed "
        f"{state.options['seed']}, {('float16' if state.options['float16'] else state.options['dtype'])}, "
        f"{(f'{seconds / 60:.0f} min' if seconds < 7200 else f'{seconds / 3600:.1f} h')} of training; "
        f"{'; then '.join(state.progress.get('machines') or ['machine not recorded'])}"
    )
    if options.note:
        conditions += "; " + options.note
    elif recipe.conditions.startswith(conditions + "; "):
        conditions = recipe.conditions  # the same run, entered before with a note
    entered = recipe._replace(ours=f"{errors[-1]:.2f}, best {best:.2f}", conditions=conditions)
    recipes.enter(options.recipes, entered)
    if options.keep:
        _keep(entered, _earlier_runs(recipe, options) + [(recipe.name, rows)], options.keep)
    return entered


def _keep(recipe, stages, folder):
    """Write the log of a run, and the error curve of the run and those that it started from, into a folder."""
    figure = draw_errors(stages, f"{recipe.name}: {recipe.ours}")
    with writing(f"--keep {folder}"):
        os.makedirs(folder, exist_ok=True)
        write_csv(os.path.join(folder, recipe.name + ".csv"), stages[-1][1])
        save(figure, os.path.join(folder, recipe.name + ".png"))


def _earlier_runs(recipe, options):
    """Return names and rows of the runs of recipes that a run started from, one after the other, the earliest first.

    They come from their states, else from the logs that were kept; the list begins after a run that has neither.
    """
    given = recipes.options(recipe).params
    if given is None or not given.startswith(MODELS):
        return []
    name = os.path.basename(os.path.dirname(given))
    folder, log = os.path.join(options.model_dir, name), os.path.join(options.keep, name + ".csv")
    if states.state_paths(folder):
        rows = states.load_state(folder, with_arrays=False).progress["history"]
    elif os.path.exists(log):
        rows = history.read_csv(log)
    else:
        return []
    known = [earlier for earlier in recipes.read_recipes(options.recipes) if earlier.name == name]
    return (_earlier_runs(known[0], options) if known else []) + [(name, rows)]


def _error(share):
    return 100 * (1 - share)
