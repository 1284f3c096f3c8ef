"""End a process that makes no progress, and say where it hangs: `Watchdog`."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Optional, Type

from .calls import program

CODE = 124  # as timeout(1)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Watchdog:
    """A thread that ends this process with `CODE` if `feed` is not called for some seconds.

    Within its context only. Of several processes that wait for one another, the one that hangs ends first: it was the
    first that did not begin a next step.

    Parameters
    ----------
    seconds : float
        0: never.
    what : str
        What makes no progress, for the message.
    """

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds, self._what = seconds, what
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
            if left <= 0:
                place = _place(sys._current_frames().get(self._main))
                print(f"{program()}: {self._what} for {self._seconds:g} s, in {place}", file=sys.stderr, flush=True)
                os._exit(CODE)


def _place(frame: Optional[FrameType]) -> str:
    """Return where a thread is: the innermost line of this package, else the innermost line."""
    innermost = frame
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE):
            return f"{os.path.relpath(path, os.path.dirname(_PACKAGE))}, line {frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    if innermost is None:
        return "no known place"
    return f"{innermost.f_code.co_filename}, line {innermost.f_lineno}"
