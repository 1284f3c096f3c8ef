"""Print progress and messages besides a command's result, unless the user wants none (`--quiet`)."""

from __future__ import annotations

import sys
from typing import Any, Optional, TextIO

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Set whether this process shows only warnings, errors and results."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Return whether this process shows only warnings, errors and results."""
    return _quiet


def say(line: str, file: Optional[TextIO] = None) -> None:
    """Print a line that is neither a warning nor a result, to stdout or to another stream."""
    if not _quiet:
        print(line, file=file, flush=True)


def progress_bar(*args: Any, disable: Optional[bool] = None, **kwargs: Any) -> Any:
    """Return a progress bar of tqdm; without `disable`, it is shown where stderr is a terminal."""
    from tqdm import tqdm  # what is exported runs without it

    return tqdm(*args, disable=True if _quiet else disable, **kwargs)


def write_beside_bar(line: str, file: TextIO) -> None:
    """Print a line without breaking a progress bar."""
    tqdm = sys.modules.get("tqdm")  # without it, there is no bar
    if tqdm is None:
        print(line, file=file, flush=True)
    else:
        tqdm.tqdm.write(line, file=file)
