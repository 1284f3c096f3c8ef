"""Print progress and messages besides a command's result, unless the user wants none (`--quiet`)."""

from __future__ import annotations

from typing import Any, Optional, TextIO

from tqdm import tqdm

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
    return tqdm(*args, disable=True if _quiet else disable, **kwargs)
