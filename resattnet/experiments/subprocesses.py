"""Run commands of this package as subprocesses, with signals passed on to them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ..machine.cores import users_environment
from ..system.signals import install, restore

_PR_SET_PDEATHSIG = 1
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def package_command(name: str) -> List[str]:
    """Return the words that run the command `name` of this package, to be run in `package_environment`."""
    return [sys.executable, "-m", "resattnet", name]


def package_environment() -> Dict[str, str]:
    """Return the environment in which `python -m resattnet` runs this very package, whatever the working folder.

    The threads that this process has chosen for itself are not in it: a command on several CPU devices divides them.
    """
    environment = dict(
        users_environment(), PYTHONSAFEPATH="1"
    )  # Python 3.11 and later: nothing is imported from the folder
    if os.path.basename(_ROOT) not in ("site-packages", "dist-packages"):
        paths = [_ROOT, os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


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

    child = subprocess.Popen(words, env=package_environment(), start_new_session=True, preexec_fn=_end_with_parent())
    previous = install(pass_on)
    try:
        code = child.wait()
    finally:
        restore(previous)
    return code, received[0] if received else None


def _end_with_parent() -> Optional[Callable[[], Any]]:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
