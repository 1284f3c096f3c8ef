"""What the scripts share: flags from options, and errors as one line and an exit code."""

import argparse
import contextlib
import dataclasses
import difflib
import os
import re
import select
import sys
import typing
from typing import Optional

from . import streams
from .errors import InputError
from .options import Options, flag_name, flag_value

_SCRIPTS = {"train": "cifar10_train.py", "test": "cifar10_test.py"}  # of the commands whose script has another name
_call = "python -m resattnet {name}"  # how a command is called; `note_call` sets it
_flags = {}  # of the parsers that have parsed: the flag of each parameter, for the messages of errors


def script_name(name: str) -> str:
    """Return the file name of the script of a command: `cifar10_train.py` for `train`."""
    return _SCRIPTS.get(name, name.replace("-", "_") + ".py")


def note_call(name: Optional[str], path: str) -> None:
    """Note how this process was called, for `command`.

    Parameters
    ----------
    name : str or None
        The command that a script runs; None for the `resattnet` command and `python -m resattnet`.
    path : str
        `sys.argv[0]`.
    """
    global _call
    if name is not None:
        _call = "python scripts/{script}"
    elif os.path.basename(path) == "__main__.py":
        _call = "python -m resattnet {name}"
    else:
        _call = "resattnet {name}"


def command(name: str) -> str:
    """Return how a command is called, in the way in which this process was called.

    Parameters
    ----------
    name : str
        The command, such as `test` or `show-masks`.

    Returns
    -------
    str
        `python scripts/cifar10_test.py` in a script, `resattnet test` in the console command, and
        `python -m resattnet test` otherwise.
    """
    return _call.format(name=name, script=script_name(name))


class ArgumentParser(argparse.ArgumentParser):
    """As argparse's; a wrong argument is one line on stderr, `script: --flag value: what to do`, and exit 2."""

    def parse_known_args(self, args=None, namespace=None):
        """Parse as argparse does, and note the flags, by which `run` shows the parameters that an error names."""
        _flags.update((action.dest, action.option_strings[-1]) for action in self._actions if action.option_strings)
        return super().parse_known_args(args, namespace)

    def error(self, message):
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        nearest = difflib.get_close_matches(unknown.group(1), self._option_string_actions, 1) if unknown else []
        self.exit(
            2,
            "{}: {}{}\n".format(
                self.prog,
                re.sub(r"^argument (\S+): ", r"\1 ", message),
                f"; did you mean {nearest[0]}?" if nearest else "",
            ),
        )


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
    """Return the whole numbers of a list with commas."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers with commas between, as 80,120") from None


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


def add_params(parser, **kwargs):
    """Give a parser the flag `--params`; `kwargs` go to its `add_argument`."""
    parser.add_argument(
        "--params",
        required=True,
        metavar="FILE",
        help="parameters that a run has saved, or the name "
        "of some that come with the package: python -m resattnet lists them",
        **kwargs,
    )


def run(main):
    """Call a script's `main` and leave with its exit code: 0, 2 for an `InputError`, 130 or 143 when interrupted.

    141, as of a program that SIGPIPE ends, where nobody reads the output any more and there was more to say; 2 where it
    cannot be written for another reason.
    """
    try:
        code = _exit_code(main)
    finally:
        lost = streams.flush_or_discard(sys.stdout)
    if lost and not code:
        code = _output_is_lost(lost)
    streams.flush_or_discard(sys.stderr)
    sys.exit(code)


def _exit_code(main):
    from .signals import Interrupted

    try:
        return main()
    except SystemExit as end:  # argparse's, as after --help
        return end.code
    except InputError as error:
        _complain(error.as_flags(_flags))
        return 2
    except Interrupted as stop:
        _complain(stop)
        return stop.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_closed(sys.stdout):
            return 141
        lost = streams.flush_or_discard(sys.stdout)
        if not lost:
            raise  # of another file: our bug
        return _output_is_lost(lost)


def _complain(what):
    with contextlib.suppress(OSError):  # of the terminal, where nobody is to be told any more
        print(f"{sys.argv[0].rsplit('/', 1)[-1]}: {what}", file=sys.stderr, flush=True)


def _output_is_lost(error):
    if isinstance(error, BrokenPipeError):
        return 141
    _complain(f"the output cannot be written ({error.strerror})")
    return 2


def _is_closed(stream):
    """Whether the other end of a pipe that we write to is closed."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
