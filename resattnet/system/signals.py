"""Ctrl-C and SIGTERM as something the training loop asks about, so that it can save first."""

import os
import signal


class Interrupted(Exception):
    """The run was asked to stop and has saved; `exit_code` is 128 plus the signal's number."""

    def __init__(self, message, signum):
        super().__init__(message)
        self.exit_code = 128 + signum


class StopSignals:
    """While it is entered, notes the first SIGINT or SIGTERM in `received`; a second one acts as it always did.

    Processes forked inside (loader workers) are not the run: they ignore SIGINT and die of SIGTERM.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.received = None

    def __enter__(self):
        self._process = os.getpid()
        self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_):
        self._restore()

    def _restore(self):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        if os.getpid() == self._process:
            self.received = number
            self._restore()
        elif number == signal.SIGTERM:
            os._exit(128 + number)
