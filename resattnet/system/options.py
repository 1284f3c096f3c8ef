"""Options of a command as a dataclass: each field has what its flag and its check need."""

import dataclasses
import math
import os
from dataclasses import field

from .errors import InputError

MODEL_DIR = "models"  # the default folder of the runs' parameters and states
ALL_GPUS = "all that MXNet can use, else the CPU"  # what --num-gpus comes to where it is not given


def option(
    default, help, choices=None, low=None, high=None, above=None, below=None, short=None, metavar=None, unset=None
):
    """A field of an options dataclass, with all that its flag and its check need.

    `unset` says what the default None comes to, where that is more than that there is none.
    """
    return field(
        default=default,
        metadata=dict(
            help=help,
            choices=choices,
            low=low,
            high=high,
            above=above,
            below=below,
            short=short,
            metavar=metavar,
            unset=unset,
        ),
    )


def flag_name(name):
    """The flag of a field: `num_layers` is `--num-layers`."""
    return "--" + name.replace("_", "-")


def flag_value(value):
    """A value as it is written behind its flag; none where it is None."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return "none" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def _check_number(flag, value, limits):
    if not math.isfinite(value):
        raise InputError(f"{flag} {value}: give a finite number")
    for key, holds, words in (
        ("low", lambda bound: value >= bound, "at least"),
        ("above", lambda bound: value > bound, "above"),
        ("high", lambda bound: value <= bound, "at most"),
        ("below", lambda bound: value < bound, "below"),
    ):
        if limits[key] is not None and not holds(limits[key]):
            raise InputError(f"{flag} {value}: give a number {words} {limits[key]:g}")


def check_name(flag, name, what="folder"):
    if name is not None and (not name or "/" in name or name.startswith(".")):
        raise InputError(f"{flag} {name!r}: give a plain {what} name")


class Options:
    """The check that every options dataclass makes of its values, from its fields' own limits."""

    def __post_init__(self):
        for spec in dataclasses.fields(self):
            value, limits, flag = getattr(self, spec.name), spec.metadata, flag_name(spec.name)
            if limits["choices"] and value is not None and value not in limits["choices"]:
                raise InputError(f"{flag} {value}: choose from {', '.join(map(str, limits['choices']))}")
            if isinstance(value, (int, float)):
                _check_number(flag, value, limits)


def resolve_output(options, name, a_folder_is_none=True):
    """See that a file can be put where an option says, or files whose names begin so, and have ~ be the home there."""
    given = getattr(options, name)
    path = os.path.expanduser(given)
    folder = os.path.dirname(os.path.abspath(path))
    if a_folder_is_none and os.path.isdir(path):
        raise InputError(f"{flag_name(name)} {given}: that is a folder; give the name of a file")
    if not os.path.isdir(folder):
        raise InputError(f"{flag_name(name)} {given}: there is no folder {folder}")
    object.__setattr__(options, name, path)
