"""Add the arguments that several commands have besides their options."""

from __future__ import annotations

from typing import Any

from ..options.command_line import ArgumentParser


def add_params(parser: ArgumentParser, **kwargs: Any) -> None:
    """Give a parser the flag `--params`; `kwargs` go to its `add_argument`."""
    parser.add_argument(
        "--params",
        required=True,
        metavar="FILE",
        help="parameter file that a run has saved, or the name of packaged parameters, which {command tour} lists",
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
