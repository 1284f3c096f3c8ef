"""Run commands of this package as subprocesses, with signals passed on to them."""

from __future__ import annotations

import signal
import subprocess
from typing import Any, List, Optional, Sequence, Tuple

from ..machine.processes import end_with_parent, package_command, package_environment
from ..system.signals import install, restore

__all__ = ["package_command", "package_environment", "run_passing_signals"]


def run_passing_signals(words: Sequence[str]) -> Tuple[int, Optional[int]]:
    """Run a command to its end, and pass on each of `signals.SIGNALS` that this process receives meanwhile.

    The command runs in a session of its own, so that Ctrl-C, which a terminal sends to all processes, reaches it once:
    training takes a second one as an order to leave at once. If this process is killed, the command receives SIGTERM.

    Returns
    -------
    code : int
        As `subprocess.Popen.returncode`.
    signum : int or None
        The first signal to stop that this process received.
    """
    received: List[int] = []

    def pass_on(number: int, _frame: Any) -> None:
        if number != signal.SIGUSR1:
            received.append(number)
        child.send_signal(number)

    child = subprocess.Popen(words, env=package_environment(), start_new_session=True, preexec_fn=end_with_parent())
    previous = install(pass_on)
    try:
        code = child.wait()
    finally:
        restore(previous)
    return code, received[0] if received else None
