"""The commands: `resattnet COMMAND`, `python -m resattnet COMMAND` and the scripts run the same code.

Each command is a module of this package. Its docstring is the description in `--help`; `add_arguments(parser)` adds its
arguments to a parser, and `main(given)` runs it with the values given, by name, and returns its exit code (None: 0).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Dict, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

from ..options import command_line
from ..system import calls, console
from ..system.errors import InputError
from ..system.suggestions import suggest


class Command(NamedTuple):
    """A row of `COMMANDS`: the module, imported only when the command is called, and a line of help."""

    module: str
    help: str


COMMANDS: Dict[str, Command] = {
    "train": Command("train", "train a network, or resume a run"),
    "train-images": Command("train_images", "train a network on a folder of images of any size, such as ImageNet"),
    "launch": Command("launch", "start a command in several processes, which train one run together"),
    "test": Command("test", "measure trained networks on the test images"),
    "predict": Command("predict", "name the classes of image files"),
    "serve": Command("serve", "answer requests over HTTP with the classes of images, and show a page for photographs"),
    "show-masks": Command("show_masks", "draw the attention masks of a trained network"),
    "export": Command("export", "convert a trained network to ONNX, symbol.json, INT8, float16 or PyTorch"),
    "make-records": Command("make_records", "write a data set or a folder of images as RecordIO files"),
    "report": Command("report", "write an HTML page about one or several runs"),
    "reproduce": Command("reproduce", "list the recipes of reported results, and run them"),
    "benchmark": Command("benchmark", "measure the speed of training and inference on this machine"),
    "summary": Command("summary", "list the layers of a network with their parameters and operations"),
    "tour": Command("tour", "show versions, devices, networks and packaged weights (the default)"),
}
DEFAULT = "tour"


def run(script: Optional[str] = None) -> NoReturn:
    """Run the command that the command line of this process calls, and exit with its exit code.

    Parameters
    ----------
    script : str, optional
        The command that a script runs. Default: the first word of the command line names the command.
    """
    words = sys.argv[1:]
    if script is not None:
        name: Optional[str] = script
        call = calls.script_call(script, sys.argv[0])
    else:
        name, words = _split_name(words)
        call = calls.package_call(sys.argv[0], name if name in COMMANDS else None)
    with calls.called_as(call):
        command_line.run(lambda: _run_command(name, words))


def _split_name(words: List[str]) -> Tuple[Optional[str], List[str]]:
    """Return the name of the command, None if flags come first, and the other words."""
    if not words:
        return DEFAULT, []
    return (None, words) if words[0].startswith("-") else (words[0], words[1:])


def _run_command(name: Optional[str], words: Sequence[str]) -> Optional[int]:
    if name is None:
        _overview_parser().parse_args(words)
        name, words = DEFAULT, []
    if name not in COMMANDS:
        advice = suggest(name, COMMANDS, count=1, cutoff=0.6) or f"choose from {', '.join(COMMANDS)}"
        raise InputError(f"{name}: no such command; {advice}")
    given = parse(name, words)
    console.set_quiet(given.pop("quiet", False))
    return load_command(name).main(given)


def load_command(name: str) -> ModuleType:
    """Import and return the module of a command."""
    return importlib.import_module(f"{__name__}.{COMMANDS[name].module}")


def parse(name: str, words: Sequence[str]) -> Dict[str, Any]:
    """Return the values that the words after a command's name give, by argument. Arguments not given are left out."""
    module = load_command(name)
    parser = command_line.ArgumentParser(name, description=module.__doc__)
    module.add_arguments(parser)
    return vars(parser.parse_args(words))


def _overview_parser() -> command_line.ArgumentParser:
    width = max(len(name) for name in COMMANDS)
    rows = [f"  {name:<{width}}  {row.help}" for name, row in COMMANDS.items()]
    parser = command_line.ArgumentParser(
        usage=f"{calls.program()} [COMMAND [ARGUMENT ...]]",
        description="Residual Attention Networks for Apache MXNet Gluon.\n\ncommands:\n" + "\n".join(rows),
        epilog=f"The arguments of a command: {calls.program()} COMMAND --help",
    )
    return parser
