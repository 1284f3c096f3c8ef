"""End a process that must not wait for others: they may wait for it."""

from __future__ import annotations

import atexit
import os
import signal

LIMIT = 5.0  # seconds in which a process ends that has printed its error

_at_once = False


def leave_at_once() -> None:
    """Make this process end without the cleaning up of libraries, as soon as its exit code is known.

    If an error that nobody catches ends it, the cleaning up is cut short after `LIMIT` seconds.
    """
    global _at_once
    if not _at_once:
        _at_once = True
        atexit.register(_limit_cleaning_up)


def _limit_cleaning_up() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)


def leave(code: int) -> None:
    """End this process with an exit code if `leave_at_once` was called. The standard streams must have been flushed."""
    if _at_once:
        os._exit(code)
