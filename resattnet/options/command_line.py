"""Read a command's flags, and show errors as one line and an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import re
import sys
import typing
from typing import Any, Callable, Dict, NoReturn, Optional, Sequence, Type, TypeVar

from ..system import streams
from ..system.calls import command, fill_in_commands, program
from ..system.errors import InputError, reason
from ..system.suggestions import nearest_names
from .fields import Options, flag_name, flag_value

__all__ = ["ArgumentParser", "add_options", "command", "parse_options", "run"]

_T = TypeVar("_T", bound=Options)
_flags: Dict[str, str] = {}  # flag of each parameter, from the parsers that have run, for error messages


def _help_formatter(name: str) -> Type[argparse.HelpFormatter]:
    class Formatter(argparse.RawDescriptionHelpFormatter):
        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return super()._fill_text(fill_in_commands(text, name), width, indent)

        def _get_help_string(self, action: argparse.Action) -> Optional[str]:
            return action.help and fill_in_commands(action.help, name)

    return Formatter


class ArgumentParser(argparse.ArgumentParser):
    """Parse a command line; exit with code 2 and one line on stderr, `PROGRAM: --flag value: ...`, if it is wrong.

    Parameters
    ----------
    name : str
        The command. Descriptions and help texts show it for `{command}` as the user called it, and other commands for
        `{command NAME}`.
    kwargs
        Further arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, name: str = "", **kwargs: Any) -> None:
        defaults: Dict[str, Any] = {"prog": program(), "formatter_class": _help_formatter(name)}
        super().__init__(**{**defaults, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, and note the flags, by which `run` shows the parameters that an error names."""
        _flags.update((action.dest, action.option_strings[-1]) for action in self._actions if action.option_strings)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line that says what is wrong, with the nearest flag in place of an unknown one."""
        self.exit(2, f"{self.prog}: {self._explain(message)}\n")

    def _explain(self, message: str) -> str:
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        nearest = nearest_names(unknown.group(1), self._option_string_actions, 1, 0.6) if unknown else []
        suggestion = f"; did you mean {nearest[0]}?" if nearest else ""
        return re.sub(r"^argument (\S+): ", r"\1 ", message) + suggestion


class _WordParser(ArgumentParser):
    """Parse words that are not this process's command line; a wrong word is an `InputError`."""

    def error(self, message: str) -> NoReturn:
        raise InputError(self._explain(message))


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
    parser = _WordParser(add_help=False)
    add_options(parser, options_class)
    try:
        return options_class(**vars(parser.parse_args(list(words))))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def switch(text: str) -> bool:
    """Return True for "1" and False for "0"."""
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{text}: give 0 or 1")
    return text == "1"


def whole_number(text: str) -> int:
    """Return a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number") from None


def number(text: str) -> float:
    """Return a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: give a number") from None


def number_list(text: str) -> typing.Tuple[int, ...]:
    """Return the whole numbers of a comma-separated list."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers separated by commas, as 80,120") from None


_READERS = {str: str, bool: switch, int: whole_number, float: number, typing.Tuple[int, ...]: number_list}


def add_options(parser: argparse.ArgumentParser, options_class: typing.Type[Options]) -> None:
    """Add a flag to a parser for each field of an options class, grouped by the headings of the class.

    The result of parsing has no entry for a flag that is not given.
    """
    hints = typing.get_type_hints(options_class)
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
            dest=field.name,
            type=_READERS[kind],
            metavar=_metavar(field, kind),
            help=_help_text(field).replace("%", "%%"),
            default=argparse.SUPPRESS,
        )


def _metavar(field: dataclasses.Field, kind: typing.Any) -> str:
    """Return the name of the value of a flag in the usage and the help."""
    choices = field.metadata["choices"]
    if choices:
        return f"{{{','.join(map(str, choices))}}}"
    if kind is bool:
        return "{0,1}"
    return field.metadata["metavar"] or field.name.split("_")[-1].upper()


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
            code = _exit_code(main)
        finally:
            lost = streams.flush_or_discard(sys.stdout)
        if lost and not code:
            code = _report_lost_output(lost)
        streams.flush_or_discard(sys.stderr)
    sys.exit(code)


def _exit_code(main: Callable[[], Optional[int]]) -> Any:
    from ..system.signals import Interrupted

    try:
        return main()
    except SystemExit as end:  # argparse's, as after --help
        return end.code
    except InputError as error:
        _print_error(error.as_flags(_flags))
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
    print(f"{program()}: {what}", file=sys.stderr, flush=True)


def _report_lost_output(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        return 141
    _print_error(f"the output cannot be written ({reason(error)})")
    return 2
