"""Commands run as their users run them."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def script(name, *args, cwd=None):
    """Run a script from another folder than the clone."""
    return subprocess.run(
        [sys.executable, os.path.join(ROOT, "scripts", name)] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
    )


def refused(done):
    """The one line that a refused call said."""
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    return done.stderr
