"""Define errors that the user can correct and remarks on input that is used, and the one-line texts in them."""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import Any, Callable, Iterator, Mapping, Sequence

# Control characters, surrogates, separators of lines, and characters that turn the direction of writing.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


class _Message(Exception):
    """A message of one line that names parameters in backquotes: "`lr=-1.0`: give a number above 0".

    `str` leaves the backquotes out, and `as_flags` turns the parameters into the flags of a command. To put a message
    into another one, use an f-string, ``f"{path}: {error}"``, which keeps the backquotes.
    """

    def __str__(self) -> str:
        return _PARAMETER.sub(lambda found: found.group(0)[1:-1], super().__str__())

    def __format__(self, spec: str) -> str:
        return format(super().__str__(), spec)

    def as_flags(self, flags: Mapping[str, str]) -> str:
        """Return the message with parameters as flags: `--lr -1.0` for `lr=-1.0`, `--mix-up 1` for `mix_up=True`.

        Parameters
        ----------
        flags : mapping of str to str
            The flag of each parameter of the command; also of a parameter with a value, "--dtype float16" for
            "float16=True", if another flag gives it.
        """
        return _PARAMETER.sub(_as_flag(flags), super().__str__())


class InputError(_Message, ValueError):
    """A wrong argument, file or set-up, which the user can correct.

    The message names the thing, its value and the way out. The commands print it on stderr and exit with code 2. Any
    other exception is a bug of this package.
    """


class Remark(_Message, UserWarning):
    """A warning about input that is used, but perhaps not as the user expects.

    The commands print it on stderr, and a training run in its log.
    """


def remark(text: str) -> None:
    """Warn with a `Remark`."""
    warnings.warn(Remark(text), stacklevel=2)


@contextlib.contextmanager
def handle_remarks(handle: Callable[[Remark], Any]) -> Iterator[None]:
    """Call a function with each `Remark` within the block, instead of showing it as Python shows warnings."""

    def show(message: Any, *rest: Any, **named: Any) -> None:
        if isinstance(message, Remark):
            handle(message)
        else:
            earlier(message, *rest, **named)

    with warnings.catch_warnings():
        warnings.simplefilter("always", Remark)
        earlier, warnings.showwarning = warnings.showwarning, show
        yield


def _as_flag(flags: Mapping[str, str]) -> Callable[[re.Match], str]:
    def replace(found: re.Match) -> str:
        name, value = found.groups()
        if found.group(0)[1:-1] in flags:
            return flags[found.group(0)[1:-1]]
        if name not in flags:
            return found.group(0)[1:-1]
        return flags[name] if value is None else f"{flags[name]} {_SWITCHES.get(value, value)}"

    return replace


_SWITCHES = {"True": "1", "False": "0"}


def one_line(text: str) -> str:
    """Return a text as one line of a terminal, with escapes for control characters and bytes that are not UTF-8."""
    return _UNPRINTABLE.sub(lambda found: _escape(found.group()), text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def reason(error: BaseException) -> str:
    """Return why something failed, on one line, for the parentheses in "x.csv cannot be written (...)".

    The reason is the operating system's text of an `OSError` ("No space left on device"), else the message, else the
    name of the exception's type.
    """
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()) or type(error).__name__


def list_some(items: Sequence[str], count: int = 3) -> str:
    """Return the first few items of a list for a message, and the number of the others: "a, b, c, and 5 more".

    Parameters
    ----------
    items : sequence of str
    count : int
        Largest number of items that are named.
    """
    listed = ", ".join(items[:count])
    return f"{listed}, and {len(items) - count} more" if len(items) > count else listed
