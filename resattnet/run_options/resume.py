"""Merge options that are given now into those of a recipe, or of a run to resume."""

from __future__ import annotations

import dataclasses
import os
import reprlib
import typing
from typing import Any, Mapping, Sequence, Tuple

from ..models.spec import NETWORK_OPTIONS
from ..options.fields import assignment
from ..options.rules import merge_values
from ..runs import history, states
from ..system.errors import InputError
from .image_options import options_kind
from .options import RunOptions, meant_options

# Options that a resumed run keeps. The arrays of a state and its place within an epoch depend on most of them.
KEPT_ON_RESUME = (
    ("dataset",)
    + NETWORK_OPTIONS
    + ("stem", "image_size", "train_split", "val_fraction", "val_labels", "class_names")
    + ("optimizer", "float16", "seed", "loader", "sampler", "val_split", "label_noise", "zero_gamma", "ema", "params")
    + ("freeze", "name")
    + ("time_limit",)
)


def merge_options(own: RunOptions, given: Mapping[str, Any]) -> RunOptions:
    """Return `own` updated with the options in `given`.

    Where the two together break one of `TRAINING_RULES`, the option that was not given is replaced: by its default, by
    the CPU in place of GPUs, or by the epochs of a list that are still within its limits. For example, a given `lr`
    replaces the recipe's `lr_per_256`, and a given `lr_steps` replaces a cosine schedule with the step schedule.

    Parameters
    ----------
    own : RunOptions
    given : mapping of str to value

    Raises
    ------
    InputError
        If a value is wrong, or the given options break a rule among themselves.
    """
    return type(own)(**merge_values(dataclasses.asdict(own), meant_options(given), own.rules, own.defaults()))


def options_from_state(before: Mapping[str, Any]) -> RunOptions:
    """Return the options of a run from those in its state, by name.

    Raises
    ------
    InputError
        If an option is unknown: another version of this package wrote the state. Also if a value is wrong.
    """
    kind = options_kind(before)
    unknown = sorted(set(before) - set(kind.defaults()))
    if unknown:
        names = ", ".join(f"`{name}`" for name in unknown)
        raise InputError(f"another version of resattnet saved the run: {names} is unknown here")
    hints = typing.get_type_hints(kind)
    for name, value in before.items():
        if not _is_of_type(value, hints[name]):
            raise InputError(f"the state of the run has the wrong value {reprlib.repr(value)} of `{name}`")
    try:
        return kind(**before)
    except InputError as error:
        raise InputError(f"the state of the run has a wrong value: {error}") from error


def _is_of_type(value: Any, hint: Any) -> bool:
    """Return whether a value, as JSON gives it, has the type of an option."""
    if typing.get_origin(hint) is typing.Union:
        return any(_is_of_type(value, one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        kind = typing.get_args(hint)[0]
        return isinstance(value, (list, tuple)) and all(_is_of_type(one, kind) for one in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def options_for_resume(before: Mapping[str, Any], given: Mapping[str, Any], epochs_done: int) -> RunOptions:
    """Return the options of a resumed run: its own, merged with the given ones by `merge_options`.

    The warm-up keeps its length.

    Parameters
    ----------
    before : mapping of str to value
        The options in the state of the run.
    given : mapping of str to value
        The options given now.
    epochs_done : int
        Number of whole epochs that the run has done.

    Raises
    ------
    InputError
        If a value is wrong, changes an option in `KEPT_ON_RESUME`, or ends the run before the epochs done; if
        `lr_restarts` is given and differs from the run's restarts within the epochs done; or if
        `options_from_state` raises.
    """
    own, given = options_from_state(before), meant_options(given)
    kept = {name: getattr(own, name) for name in KEPT_ON_RESUME if name in own.defaults()}
    for name, value in kept.items():
        if given.get(name, value) != value:
            raise InputError(
                f"{assignment(name, given[name])}: the run to resume has {assignment(name, value)}, which cannot change"
            )
    merged = merge_options(dataclasses.replace(own, warmup_epochs=own.warmup), dict(given, **kept))
    if merged.epochs < epochs_done:
        raise InputError(f"{assignment('epochs', merged.epochs)}: the run to resume has already done {epochs_done}")
    if merged.lr_schedule == "cosine" and "lr_restarts" in given:
        _check_past_restarts(own.lr_restarts or (), merged.lr_restarts or (), epochs_done)
    return merged


def _check_past_restarts(own: Sequence[int], new: Sequence[int], epochs_done: int) -> None:
    """Raise InputError unless both have the same restarts in the epochs done: these scale the later cosines."""
    written = assignment("lr_restarts", new or None)
    past, named = ([epoch for epoch in epochs if epoch < epochs_done] for epochs in (own, new))
    if past != named:
        raise InputError(
            f"{written}: in the {epochs_done} epochs done, the cosine restarted after "
            f"{','.join(map(str, past)) or 'none'}; give those epochs and later ones"
        )


def load_for_resume(run: str, given: Mapping[str, Any]) -> Tuple[RunOptions, states.State]:
    """Load a run to resume: `loop.train(*load_for_resume("models/RUN", {"epochs": 60}))`.

    Parameters
    ----------
    run : str
        Folder of the run, one of its states, or its name.
    given : mapping of str to value
        Options that replace the run's own. `model_dir` only says where to find a run that is given by its name.

    Returns
    -------
    options : RunOptions
    state : states.State

    Raises
    ------
    InputError
        If there is no such run, its state cannot be read, or `options_for_resume` raises.
    """
    given = dict(given)
    model_dir = given.pop("model_dir", None)
    if not os.path.isfile(run):
        run = history.find_run(run, given.get("log_dir"), model_dir or RunOptions.model_dir)[1] or run
    state = states.load_state(run)
    home = os.path.dirname(os.path.abspath(state.folder))
    if model_dir is not None and os.path.abspath(model_dir) != home:
        raise InputError(
            f"{assignment('model_dir', model_dir)}: the run to resume is in {home} and cannot move; leave it out"
        )
    return options_for_resume(state.options, given, state.progress["epoch"]), state
