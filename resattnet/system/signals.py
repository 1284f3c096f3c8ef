"""Turn Ctrl-C and SIGTERM into a flag that the training loop checks, so that it can save before it stops."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any, Dict, Optional


class Interrupted(Exception):
    """A run was asked to stop and has saved its state.

    Attributes
    ----------
    exit_code : int
        Exit code of the process: 128 plus the number of the signal.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


class StopSignals:
    """Context that stores the first SIGINT or SIGTERM instead of acting on it; a second one acts as usual.

    Processes that are forked inside, such as the workers of a loader, are not the run: they ignore SIGINT and exit on
    SIGTERM.

    Attributes
    ----------
    received : int or None
        Number of the signal that was received.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self._process = 0
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._process = os.getpid()
        self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: Optional[FrameType]) -> None:
        if os.getpid() == self._process:
            self.received = number
            self._restore()
        elif number == signal.SIGTERM:
            os._exit(128 + number)
