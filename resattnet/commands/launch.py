"""Start a command in several processes, which train one run together.

    {command} -n 2 train --kvstore dist_sync --dataset digits --widths thin -b 16
    {command} -n 8 -s 2 --hosts hosts.txt train-images --kvstore dist_sync --data-dir imagenet
    {command} -n 2 train --kvstore horovod --resume models/RUN
    {command} -n 2 my_training.py --flag value    # another program, with the environment of MXNet's KVStore

COMMAND is a command of this package, a Python file or a program, with all its arguments. dist_sync and dist_device_sync
get a scheduler, parameter servers and workers; horovod is started by horovodrun, byteps by bpslaunch. The lines of each
process begin with its rank. Signals are passed on: Ctrl-C saves the run and ends it. The first process that fails ends
the job, and the exit code is its own.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any, Dict, List

from ..launcher.options import LaunchOptions
from ..machine.processes import package_command
from ..options import command_line
from ..system.errors import InputError


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the options, and the command with its arguments."""
    command_line.add_options(parser, LaunchOptions)
    parser.add_argument("command", metavar="COMMAND", help="command of this package, Python file or program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")


def main(given: Dict[str, Any]) -> int:
    """Run the job, and return its exit code."""
    from ..launcher.members import members_of
    from ..launcher.supervisor import Supervisor

    words = command_words(given.pop("command"), given.pop("arguments"))
    return Supervisor(members_of(LaunchOptions(**given), words)).run()


def command_words(name: str, arguments: List[str]) -> List[str]:
    """Return the words that run a command of this package, a Python file or a program.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    from . import COMMANDS

    if name in COMMANDS and name != "launch":
        return [*package_command(name), *arguments]
    if name.endswith(".py"):
        return [sys.executable, name, *arguments]
    if not shutil.which(name):
        raise InputError(f"{name}: there is no such command, Python file or program")
    return [name, *arguments]
