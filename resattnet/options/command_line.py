"""Read a command's flags, and show errors as one line and an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import functools
import sys
import typing
from typing import Any, Callable, NoReturn, Optional, Sequence, Type, TypeVar

from ..system import streams
from ..system.calls import command, program
from ..system.errors import InputError, handle_remarks, one_line, reason
from ..system.leaving import leave
from .argument_parser import ArgumentParser, WordParser, given_flags, switch
from .fields import Options, flag_name, flag_value, text_problem
from .spellings import ALIASES

__all__ = ["ArgumentParser", "add_options", "command", "parse_options", "run"]

_GIVE_NUMBERS = "give whole numbers separated by commas, as 80,120"
_T = TypeVar("_T", bound=Options)


def parse_options(words: Sequence[str], options_class: Type[_T], source: str) -> _T:
    """Return the options that words with flags stand for, such as the flags in a file.

    Parameters
    ----------
    words : sequence of str
        Flags and values, as on a command line.
    options_class : type
        The options dataclass.
    source : str
        Where the words come from; errors begin with this text.

    Raises
    ------
    InputError
        If a flag is unknown or a value is wrong.
    """
    parser = WordParser(add_help=False)
    add_options(parser, options_class)
    try:
        return options_class(**vars(parser.parse_args(list(words))))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def text(word: str) -> str:
    """Return a word that `fields.text_problem` finds nothing wrong with."""
    problem = text_problem(word)
    if problem:
        raise argparse.ArgumentTypeError(f"{word}: {problem}")
    return word


def whole_number(word: str) -> int:
    """Return a whole number."""
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word or repr(word)}: give a whole number") from None


def number(word: str) -> float:
    """Return a number."""
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word or repr(word)}: give a number") from None


def number_list(word: str) -> typing.Tuple[int, ...]:
    """Return the whole numbers of a comma-separated list."""
    try:
        return tuple(int(part) for part in word.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word or repr(word)}: {_GIVE_NUMBERS}") from None


def word_list(word: str) -> typing.Tuple[str, ...]:
    """Return the words of a comma-separated list."""
    parts = tuple(text(part) for part in word.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{word or repr(word)}: give names separated by commas")
    return parts


_READERS = {
    str: text,
    bool: switch,
    int: whole_number,
    float: number,
    typing.Tuple[int, ...]: number_list,
    typing.Tuple[str, ...]: word_list,
}


@functools.lru_cache(maxsize=None)
def _type_hints(options_class: typing.Type[Options]) -> typing.Dict[str, typing.Any]:
    """Return the types of the fields of a class; to evaluate them takes a third of the time of making a parser."""
    return typing.get_type_hints(options_class)


def add_options(parser: argparse.ArgumentParser, options_class: typing.Type[Options]) -> None:
    """Add a flag to a parser for each field of an options class, grouped by the headings of the class.

    The result of parsing has no entry for a flag that is not given.
    """
    hints = _type_hints(options_class)  # type: ignore[arg-type]
    groups: typing.Dict[typing.Optional[str], typing.Any] = {None: parser}
    for field in dataclasses.fields(options_class):  # type: ignore[arg-type]
        heading = options_class.heading_of(field.name)
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        kind = hints[field.name]
        if typing.get_origin(kind) is typing.Union:  # Optional
            kind = typing.get_args(kind)[0]
        short = field.metadata["short"]
        groups[heading].add_argument(
            *([short] if short else []),
            flag_name(field.name),
            *ALIASES.get(field.name, ()),
            dest=field.name,
            type=_READERS[kind],
            metavar=_metavar(field, kind),
            help=_help_text(field).replace("%", "%%"),
            default=argparse.SUPPRESS,
        )


def _metavar(field: dataclasses.Field, kind: typing.Any) -> str:
    """Return the name of the value of a flag in the usage and the help."""
    choices, metavar = field.metadata["choices"], field.metadata["metavar"]
    if choices and not metavar:
        return f"{{{','.join(map(str, choices))}}}"
    if kind is bool:
        return "{0,1}"
    return metavar or field.name.split("_")[-1].upper()


def _help_text(field: dataclasses.Field) -> str:
    """Return the help of a field with its default."""
    text, unset = field.metadata["help"], field.metadata["unset"]
    if field.default is not None:
        return f"{text} (default: {flag_value(field.default)})"
    return f"{text} (default: {unset})" if unset else text


def run(main: Callable[[], Optional[int]]) -> NoReturn:
    """Call a command's `main` and exit with its exit code: 0, 2 for an `InputError`, 129, 130 or 143 when
    interrupted.

    The exit code is 141, as for a program that SIGPIPE ends, if nobody reads the output any more and there was more to
    write. It is 2 if the output cannot be written for another reason.
    """
    with streams.guarded():
        try:
            with handle_remarks(lambda remark: _print_error(f"note: {remark.as_flags(given_flags)}")):
                code = _exit_code(main)
        finally:
            lost = streams.flush_or_discard(sys.stdout)
        if lost and not code:
            code = _report_lost_output(lost)
        streams.flush_or_discard(sys.stderr)
    leave(code or 0)
    sys.exit(code)


def _exit_code(main: Callable[[], Optional[int]]) -> Any:
    from ..system.signals import Interrupted

    try:
        return main()
    except SystemExit as end:  # argparse's, as after --help
        return end.code
    except InputError as error:
        _print_error(error.as_flags(given_flags))
        return 2
    except Interrupted as stop:
        _print_error(stop)
        return stop.exit_code
    except KeyboardInterrupt:
        _print_error("interrupted")
        return 130
    except streams.LostStream as lost:
        return _report_lost_output(lost)


def _print_error(what: object) -> None:
    print(f"{program()}: {one_line(str(what))}", file=sys.stderr, flush=True)


def _report_lost_output(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        return 141
    _print_error(f"the output cannot be written ({reason(error)})")
    return 2
