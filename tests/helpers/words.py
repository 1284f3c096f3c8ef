"""Read command lines in this process, as the commands do, without running the commands."""

import contextlib
import io

from resattnet.commands import load_command, parse
from resattnet.commands.training_arguments import read_options
from resattnet.options import command_line, fields
from resattnet.system import calls


def options_class(name):
    """Return the options class of a command; None if it has none."""
    if name == "tour":
        return None
    module = load_command(name)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, fields.Options) and value.__name__.endswith("Options")
    ]
    own = [value for value in classes if value.__module__ == module.__name__] or classes
    (found,) = [value for value in own if value.__name__ != "DataDirOptions"]
    return found


def read(name, words):
    """Parse the words of a command and make its options."""
    given = parse(name, words)
    given.pop("quiet", None)
    found = options_class(name)
    if name in ("train", "train-images"):
        return read_options(given, found)
    return found and found(**{key: value for key, value in given.items() if key in found.defaults()})


def outcome(name, words):
    """Return the exit code and the error output of reading the words of a command."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), calls.called_as(calls.package_call("resattnet", name)):
        try:
            command_line.run(lambda: read(name, words) and None)
        except SystemExit as end:
            return end.code or 0, errors.getvalue()
