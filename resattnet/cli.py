"""What the scripts share: flags from options, and errors as one line and an exit code."""
import argparse
import dataclasses
import difflib
import os
import re
import select
import sys
import typing

from .errors import InputError
from .options import flag_name


class ArgumentParser(argparse.ArgumentParser):
    """As argparse's; a wrong argument is one line on stderr, `script: --flag value: what to do`, and exit 2."""

    def error(self, message):
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        nearest = difflib.get_close_matches(unknown.group(1), self._option_string_actions, 1) if unknown else []
        self.exit(2, "%s: %s%s\n" % (self.prog, re.sub(r"^argument (\S+): ", r"\1 ", message),
                                     "; did you mean %s?" % nearest[0] if nearest else ""))


def switch(text):
    """0 or 1, as a bool."""
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError("%s: give 0 or 1" % text)
    return text == "1"


def whole_number(text):
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("%s: give a whole number" % text)


def number(text):
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("%s: give a number" % text)


def number_list(text):
    """Whole numbers with commas between."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("%s: give whole numbers with commas between, as 80,120" % text)


_READERS = {str: str, bool: switch, int: whole_number, float: number, typing.Tuple[int, ...]: number_list}


def add_options(parser, options_class):
    """Give a parser a flag for each field of an options dataclass; one not given leaves no trace in the result."""
    hints = typing.get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        kind = hints[field.name]
        if typing.get_origin(kind) is typing.Union:  # Optional
            kind = typing.get_args(kind)[0]
        limits, text = field.metadata, field.metadata["help"]
        if field.default is not None:
            default = int(field.default) if kind is bool else field.default
            text += " (default: %s)" % default
        elif limits["unset"]:
            text += " (default: %s)" % limits["unset"]
        names = [limits["short"]] * bool(limits["short"]) + [flag_name(field.name)]
        metavar = "{%s}" % ",".join(map(str, limits["choices"])) if limits["choices"] else \
            "{0,1}" if kind is bool else limits["metavar"] or field.name.split("_")[-1].upper()
        parser.add_argument(*names, dest=field.name, type=_READERS[kind], metavar=metavar, help=text,
                            default=argparse.SUPPRESS)


def add_params(parser, **kwargs):
    """Give a parser the flag `--params`; `kwargs` go to its `add_argument`."""
    parser.add_argument("--params", required=True, metavar="FILE", help="parameters that a run has saved, or the name "
                        "of some that come with the package: python -m resattnet lists them", **kwargs)


def run(main):
    """Call a script's `main` and leave with its exit code: 0, 2 for an `InputError`, 130 or 143 when interrupted.

    141, as of a program that SIGPIPE ends, where nobody reads the output any more and there was more to say.
    """
    try:
        sys.exit(_exit_code(main))
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # Python would try again as it ends, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(main):
    from .interrupts import Interrupted

    name = sys.argv[0].rsplit("/", 1)[-1]
    try:
        return main()
    except BrokenPipeError:
        if not _is_closed(sys.stdout):
            raise  # of another pipe: our bug
        return 141
    except InputError as error:
        print("%s: %s" % (name, error), file=sys.stderr)
        return 2
    except Interrupted as stop:
        print("%s: %s" % (name, stop), file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("%s: interrupted" % name, file=sys.stderr)
        return 130


def _is_closed(stream):
    """Whether the other end of a pipe that we write to is closed."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
