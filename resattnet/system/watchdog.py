"""End a process that makes no progress, and say where it hangs: `Watchdog`."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Optional, Type

from .calls import program

HUNG_CODE = 124  # as timeout(1)
WAITING = 3.0  # seconds more for a process that waits for others
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Watchdog:
    """A thread that ends this process with `HUNG_CODE` if `feed` is not called for some seconds.

    Within its context only. Of several processes that wait for one another, the one that hangs ends first: one that
    waits for the others has a few seconds more.

    Parameters
    ----------
    seconds : float
        0: never.
    what : str
        What makes no progress, for the message.
    waits_in : str
        Folder of this package in whose code a process waits for others.
    """

    def __init__(self, seconds: float, what: str, waits_in: str) -> None:
        self._seconds, self._what, self._waits_in = seconds, what, os.path.join(_PACKAGE, waits_in, "")
        self._fed = time.monotonic()
        self._closed = threading.Event()
        self._main = threading.get_ident()

    def feed(self) -> None:
        """Say that there is progress."""
        self._fed = time.monotonic()

    def __enter__(self) -> Watchdog:
        self.feed()
        if self._seconds:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._closed.set()

    def _watch(self) -> None:
        left = self._seconds
        while not self._closed.wait(left):
            left = self._fed + self._seconds - time.monotonic()
            frame = sys._current_frames().get(self._main)
            if -WAITING < left <= 0 and _innermost(frame, self._waits_in):
                left = WAITING
            if left <= 0:
                place = _place(frame)
                print(f"{program()}: {self._what} for {self._seconds:g} s, in {place}", file=sys.stderr, flush=True)
                os._exit(HUNG_CODE)


def _place(frame: Optional[FrameType]) -> str:
    """Return where a thread is: the innermost line of this package, else the innermost line."""
    own = _innermost(frame, _PACKAGE) or frame
    if own is None:
        return "no known place"
    path = own.f_code.co_filename
    if path.startswith(_PACKAGE):
        path = os.path.relpath(path, os.path.dirname(_PACKAGE))
    return f"{path}, line {own.f_lineno} ({own.f_code.co_name})"


def _innermost(frame: Optional[FrameType], folder: str) -> Optional[FrameType]:
    """Return the innermost call of a thread to code in a folder; None if there is none."""
    while frame is not None and not frame.f_code.co_filename.startswith(folder):
        frame = frame.f_back
    return frame
