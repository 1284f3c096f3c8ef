"""Turn Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 into flags that the training loop checks, so that it can save."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Sequence

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_ACT_AGAIN = (signal.SIGINT, signal.SIGTERM)  # the user sends a second one to end a run that does not leave

Handlers = Dict[int, Any]  # the handler of each signal


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


_active: List[StopSignals] = []  # the contexts that this process is in, the innermost last


class StopSignals:
    """Context that stores signals instead of acting on them.

    The first SIGINT or SIGTERM is stored; a second one acts as usual. SIGHUP, which a closed terminal sends several
    times, is stored however often it comes. SIGUSR1, by which a cluster warns of the end of the time, asks for a save.
    `install` says where signals are left alone: in a thread, and where they are ignored.

    Processes that are forked inside, such as the workers of a loader, are not the run: they ignore these signals but
    for SIGTERM, on which they exit.

    Attributes
    ----------
    received : int or None
        Number of the first signal to stop.
    save_requested : bool
        Whether SIGUSR1 was received. The owner of the context sets it back to False.
    """

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self.save_requested = False
        self._process = 0
        self._previous: Handlers = {}

    def __enter__(self) -> StopSignals:
        self._process = os.getpid()
        self._previous = install(self._note)
        _active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _active.remove(self)
        restore(self._previous)

    def _note(self, number: int, _frame: Optional[FrameType]) -> None:
        if os.getpid() != self._process:
            if number == signal.SIGTERM:
                os._exit(128 + number)
        elif number == signal.SIGUSR1:
            self.save_requested = True
        else:
            self.received = self.received or number
            if number in _ACT_AGAIN:
                restore({other: self._previous[other] for other in _ACT_AGAIN})


def stop_requested() -> bool:
    """Return whether this process is in a `StopSignals` that has received a signal to stop."""
    return any(context.received for context in _active)


def install(handler: Callable[[int, Optional[FrameType]], Any], numbers: Sequence[int] = SIGNALS) -> Handlers:
    """Handle signals by a function, and return the handlers before, for `restore`.

    SIGHUP and SIGUSR1 stay ignored where they are, as under `nohup`. Nothing is done outside the main thread, the only
    one in which Python handles signals.

    Parameters
    ----------
    handler : callable
        Called with the number of the signal and the stack frame.
    numbers : sequence of int
        The signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    handled = [number for number in numbers if number in _ACT_AGAIN or signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in handled}


def restore(handlers: Handlers) -> None:
    """Put handlers of signals back, as `install` returned them."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
