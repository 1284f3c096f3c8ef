"""Add the arguments that several commands have besides their options."""

from __future__ import annotations

import argparse
from typing import Any

from .command_line import ArgumentParser, switch, text
from .spellings import ALIASES


def add_quiet(parser: ArgumentParser) -> None:
    """Give a parser the flag `--quiet`, which takes effect in `commands.run`."""
    parser.add_argument(
        "-q",
        "--quiet",
        type=switch,
        metavar="{0,1}",
        default=argparse.SUPPRESS,
        help="1: show no progress bars, and print only warnings, errors and the result (default: 0)",
    )


def add_params(parser: ArgumentParser, required: bool = True, exported: str = "", **kwargs: Any) -> None:
    """Give a parser the flag `--params`; `required` and `kwargs` go to its `add_argument`.

    `exported` names the kinds of exported files that the command takes too.
    """
    parser.add_argument(
        "--params",
        *ALIASES["params"],
        type=text,
        required=required,
        metavar="FILE",
        help=f"parameter file that a run has saved{exported and f', exported {exported} file'}, "
        "or the name of packaged parameters, which {command tour} lists",
        **kwargs,
    )


def add_images(parser: ArgumentParser, nargs: str) -> None:
    """Give a parser the arguments `images`, as many as `nargs` of argparse says."""
    parser.add_argument(
        "images",
        nargs=nargs,
        metavar="IMAGE",
        help="an image file, a folder whose images are read, those in its sub-folders too, or - to read such paths "
        "from stdin, one on each line",
    )
