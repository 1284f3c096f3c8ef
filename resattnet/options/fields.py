"""Declare the options of a command as a dataclass: each field holds what its flag and its check need.

An options class is a frozen dataclass that inherits from `Options`. Groups of options are such classes too; a command
inherits from the groups that it needs. The rules between options are in `options.rules`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import os
from typing import Any, ClassVar, Dict, Mapping, Optional, Sequence, Tuple

from ..system.errors import InputError, one_line

MODEL_DIR = "models"  # the default folder of the runs' parameters and states
LIMITS = {
    "above": (operator.gt, "above"),
    "below": (operator.lt, "below"),
    "low": (operator.ge, "at least"),
    "high": (operator.le, "at most"),
}
LARGEST_INTEGER = 2**31 - 1  # MXNet's operators count in 32 bits
SMALLEST, LARGEST = 1e-30, 1e30  # of numbers that stay finite, and normal, in float32 products


def option(
    default: Any,
    help: str,
    choices: Optional[Sequence[Any]] = None,
    low: Optional[float] = None,
    high: Optional[float] = None,
    above: Optional[float] = None,
    below: Optional[float] = None,
    short: Optional[str] = None,
    metavar: Optional[str] = None,
    unset: Optional[str] = None,
    least: Optional[float] = None,
    why_low: str = "",
    why_high: str = "",
) -> Any:
    """Return a field of an options dataclass.

    Parameters
    ----------
    default : object
        Value of an option that is not given.
    help : str
        Text of `--help`.
    choices : sequence, optional
        The allowed values; of a list, those of its items.
    low, high, above, below : float, optional
        Limits of a number: `low` and `high` are allowed themselves, `above` and `below` are not.
    short : str, optional
        Short flag, such as "-b".
    metavar : str, optional
        Name of the value in `--help`; default: the last word of the field's name.
    unset : str, optional
        What the default None stands for, if it stands for a value.
    least : float, optional
        Lowest value besides 0, which `low=0` allows.
    why_low, why_high : str
        Reason of `low` and `least`, and of `high`, for the message.
    """
    return dataclasses.field(
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
            least=least,
            why_low=why_low,
            why_high=why_high,
        ),
    )


def redefine(group: Any, name: str, default: Any, **changes: Any) -> Any:
    """Return the field `name` of a group with another default, and with `changes` as for `option`."""
    return dataclasses.field(default=default, metadata=dict(group.__dataclass_fields__[name].metadata, **changes))


def flag_name(name: str) -> str:
    """Return the flag of an option: `--num-layers` for `num_layers`."""
    return "--" + name.replace("_", "-")


def flag_value(value: Any) -> str:
    """Return a value as it is written after its flag: `1` for True, `80,120` for a tuple, `none` for None."""
    return str(int(value)) if isinstance(value, bool) else _value(value)


def assignment(name: str, value: Any) -> str:
    """Return an option and its value in backquotes, as an `InputError` names them: "`lr_steps=80,120`"."""
    written = _value(value).replace("`", "\\x60")  # a backquote would end the assignment
    return f"`{name}={written}`"


def _value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    if value is None:
        return "none"
    return "''" if value == "" else str(value)


def check_name(name: str, value: Optional[str], what: str = "folder") -> None:
    """Raise InputError if the value of the option `name` is neither None nor a plain name of a file or a folder."""
    if value is not None and (not value or "/" in value or value.startswith(".")):
        raise InputError(f"`{name}={value!r}`: give a plain {what} name")


class Options:
    """Base of all options dataclasses: check the values against the limits of the fields, then against the rules.

    Attributes
    ----------
    heading : str or None
        Heading in `--help` of the options that a class declares first.
    rules : tuple of rules.Rule
        The rules between options of the class. A subclass sets both without an annotation, so they are not fields.
    """

    heading: ClassVar[Optional[str]] = None
    rules: ClassVar[Tuple[Any, ...]] = ()

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            _check_value(spec.name, getattr(self, spec.name), spec.metadata)
        defaults = self.defaults()
        for rule in self.rules:
            rule.check(vars(self), defaults)

    @classmethod
    def defaults(cls) -> Dict[str, Any]:
        """Return the default of each option."""
        return {spec.name: spec.default for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def heading_of(cls, name: str) -> Optional[str]:
        """Return the heading of an option: that of the class that first declares the option."""
        for base in reversed(cls.__mro__):
            if name in vars(base).get("__annotations__", ()):
                return base.heading  # type: ignore[attr-defined]
        raise KeyError(name)


def _check_value(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    """Raise InputError if a value is none of the choices, is out of the limits of its field, or is no usable name."""
    for one in value if isinstance(value, (tuple, list)) else [value]:
        if limits["choices"] and one is not None and one not in limits["choices"]:
            raise InputError(f"{assignment(name, value)}: choose from {', '.join(map(str, limits['choices']))}")
        problem = text_problem(one) if isinstance(one, str) else _number_problem(one, limits)
        if problem:
            raise InputError(f"{assignment(name, value)}: {problem}")


def text_problem(text: str) -> Optional[str]:
    """Return why a name cannot be used in logs, records and files of several encodings; None if it can."""
    if one_line(text) == text:
        return None
    return (
        "a name with a line break, another control character or bytes that are not UTF-8 cannot be used; choose another"
    )


def _number_problem(value: Any, limits: Mapping[str, Any]) -> Optional[str]:
    """Return why a number is out of the limits of its field; None for other values."""
    if not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "give a finite number"
    for limit, (is_within, words) in LIMITS.items():
        if limits[limit] is not None and not is_within(value, limits[limit]):
            return f"give a number {words} {_exact(limits[limit])}{_reason(limits.get('why_' + limit))}"
    if limits["least"] and 0 < value < limits["least"]:
        return f"give 0 or a number at least {_exact(limits['least'])}{_reason(limits['why_low'])}"
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return f"give a whole number of at most {LARGEST_INTEGER}"
    if isinstance(value, float) and value and not SMALLEST <= abs(value) <= LARGEST:
        return f"give 0 or a number from {SMALLEST:g} to {LARGEST:g} (others have no float32 products)"
    return None


def _reason(why: Optional[str]) -> str:
    return f" ({why})" if why else ""


def _exact(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def resolve_output(options: Options, name: str, must_be_file: bool = True) -> None:
    """Check that the path of an output option can be written, and replace ~ in it by the home folder.

    Parameters
    ----------
    options : Options
        Its option `name` is replaced.
    name : str
        The option: a file, or the beginning of the names of several files.
    must_be_file : bool
        Whether an existing folder is refused.

    Raises
    ------
    InputError
        If the path is a folder, or is in a folder that does not exist.
    """
    given = getattr(options, name)
    path = os.path.expanduser(given)
    folder = os.path.dirname(os.path.abspath(path))
    if must_be_file and os.path.isdir(path):
        raise InputError(f"{assignment(name, given)}: that is a folder; give the name of a file")
    if not os.path.isdir(folder):
        raise InputError(f"{assignment(name, given)}: there is no folder {folder}")
    object.__setattr__(options, name, path)
