"""Start processes of this very package, which end when this process does."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any, Callable, Dict, List, Optional

from .cores import users_environment

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


def end_with_parent(number: int = signal.SIGTERM) -> Optional[Callable[[], Any]]:
    """Return a `preexec_fn` of `subprocess.Popen`: the child receives a signal when the thread that starts it ends.

    None where the operating system is not Linux.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, number)
