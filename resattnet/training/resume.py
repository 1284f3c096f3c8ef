"""Options with some changed: what stands beside a recipe, and with what a run goes on."""

import dataclasses
import os

from ..models.spec import NETWORK_OPTIONS
from ..runs import history, states
from ..system.errors import InputError
from ..system.options import flag_name, flag_value
from ..training.options import EXCLUSIVE, NEEDS, TrainingOptions

OF_MASKS = ("attention_learning", "attention", "mask_images")  # what has no place where there are no masks


def merge_options(own, given):
    """Options but for those given, which win.

    What of the others has no place beside those is left out: the other one of two that exclude each other; devices that
    do not compute in the type asked for; DALI beside what it cannot do; what goes with an option that is off now; that
    there are no masks, beside what is of masks; the parameters to start from, beside another network; the learning
    rate's steps or restarts of another schedule, steps within the warm-up, and restarts after the end; a warm-up that
    is longer than the run, and epochs without mixup that are as long. Steps and restarts bring their schedule.

    Parameters
    ----------
    own : TrainingOptions
    given : dict
        By name.

    Returns
    -------
    TrainingOptions

    Raises
    ------
    InputError
        If a value is wrong, or two do not go together.
    """
    merged = dict(dataclasses.asdict(own), **given)

    def leave_out(*names):
        merged.update((name, getattr(TrainingOptions, name)) for name in names if name not in given)

    def asked_for(name):
        default = getattr(TrainingOptions, name)
        return given.get(name, default) != default

    for one, other, _ in EXCLUSIVE:
        leave_out(*[other] * asked_for(one), *[one] * asked_for(other))
    if asked_for("float16"):
        leave_out("num_cpus", *["num_gpus"] * (merged["num_gpus"] == 0))
    if asked_for("dtype") and "num_gpus" not in given and merged["num_gpus"]:
        merged["num_gpus"] = 0  # bfloat16 is the CPU's
    if given.get("data_format", "rec") != "rec":
        leave_out("loader")
    if merged["num_gpus"] and merged["num_cpus"] > 1:
        if "num_gpus" in given:
            leave_out("num_cpus")
        else:
            merged["num_gpus"] = 0
    if given.get("mask") == "none":
        leave_out(*OF_MASKS)
    elif merged["mask"] == "none" and any(map(asked_for, OF_MASKS)):
        leave_out("mask")
    if merged["mixup_off_epochs"] >= merged["epochs"]:
        leave_out("mixup_off_epochs")
    if own.warmup > merged["epochs"]:
        leave_out("warmup_epochs")
    if any(given.get(name, getattr(own, name)) != getattr(own, name) for name in NETWORK_OPTIONS):
        leave_out("params")
    if "lr_schedule" not in given and asked_for("lr_steps") != asked_for("lr_restarts"):
        merged["lr_schedule"] = "step" if asked_for("lr_steps") else "cosine"
    if merged["lr_schedule"] == "cosine":
        leave_out("lr_steps")
        if "lr_restarts" not in given:
            merged["lr_restarts"] = [
                epoch for epoch in own.lr_restarts or () if (given.get("warmup_epochs") or 0) < epoch < merged["epochs"]
            ] or None
    else:
        leave_out("lr_restarts")
        if "lr_steps" not in given and given.get("warmup_epochs"):
            merged["lr_steps"] = [epoch for epoch in own.lr_steps or () if epoch >= given["warmup_epochs"]] or None
    for name, others in NEEDS.items():
        if not any(merged[other] for other in others):
            leave_out(name)
    return TrainingOptions(**merged)


# What a resumed run keeps: a state's arrays and its place within an epoch depend on most of it.
KEPT_ON_RESUME = (
    ("dataset",)
    + NETWORK_OPTIONS
    + ("optimizer", "float16", "seed", "loader", "label_noise", "zero_gamma", "ema", "params", "name")
)


def options_from_state(before):
    """The `TrainingOptions` of a run, from those in its state, by name; an InputError if it is of another version."""
    unknown = sorted(set(before) - {spec.name for spec in dataclasses.fields(TrainingOptions)})
    if unknown:
        raise InputError(
            f"the run is of another version of resattnet: {', '.join(map(flag_name, unknown))} is unknown here"
        )
    return TrainingOptions(**before)


def options_for_resume(before, given, epochs_done):
    """The options with which a run goes on: its own, but for those given now, as by `merge_options`.

    The length of its warm-up stays. `training.Run` remarks on restarts that are left out.

    Parameters
    ----------
    before : dict
        The run's options, by name.
    given : dict
        Those given now.
    epochs_done : int
        Whole epochs that the run has done.

    Returns
    -------
    TrainingOptions

    Raises
    ------
    InputError
        If a value is wrong, or is of one that has to stay, or there are fewer epochs than are done, or the restarts
        given are not, in the epochs done, those that there were.
    """
    own = options_from_state(before)
    kept = {name: getattr(own, name) for name in KEPT_ON_RESUME}
    for name, value in kept.items():
        if given.get(name, value) != value:
            raise InputError(
                f"{flag_name(name)} {flag_value(given[name])}: the run to resume has {flag_value(value)}, and keeps it"
            )
    merged = merge_options(dataclasses.replace(own, warmup_epochs=own.warmup), dict(given, **kept))
    if merged.epochs < epochs_done:
        raise InputError(f"--epochs {merged.epochs}: the run to resume has done {epochs_done}")
    if merged.lr_schedule == "cosine" and "lr_restarts" in given:
        _check_past_restarts(own.lr_restarts or (), merged.lr_restarts or (), epochs_done)
    return merged


def load_for_resume(run, given):
    """With what a run goes on: `training.train(*continued("models/RUN", {"epochs": 60}))`.

    Parameters
    ----------
    run : str
        Its folder, one of its states, or its name.
    given : dict
        Options in place of its own, by name; `model_dir` only says where a run given by its name is.

    Returns
    -------
    options : TrainingOptions
    state : checkpoints.State

    Raises
    ------
    InputError
        If there is no such run, its state cannot be read, or as `options_for_resume`.
    """
    given = dict(given)
    model_dir = given.pop("model_dir", None)
    if not os.path.isfile(run):
        run = history.find_run(run, given.get("log_dir"), model_dir or TrainingOptions.model_dir)[1] or run
    state = states.load_state(run)
    home = os.path.dirname(os.path.abspath(state.folder))
    if model_dir is not None and os.path.abspath(model_dir) != home:
        raise InputError(f"--model-dir {model_dir}: the run to resume is in {home}, and stays there; leave it out")
    return options_for_resume(state.options, given, state.progress["epoch"]), state


def _check_past_restarts(own, new, epochs_done):
    """Check that new restarts are, in the epochs done, those that the run had: each later one's height counts them."""
    past, stated = ([epoch for epoch in epochs if epoch < epochs_done] for epochs in (own, new))
    if past != stated:
        raise InputError(
            f"--lr-restarts {','.join(map(str, new))}: in the {epochs_done} epochs done the cosine "
            f"has begun anew after {','.join(map(str, past)) or 'none'}; name those and later ones"
        )
