"""Run commands the way users run them."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def script(name, *args, cwd=None):
    """Run a script from a folder other than the clone."""
    return subprocess.run(
        [sys.executable, os.path.join(ROOT, "scripts", name)] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
    )


def package(*args, cwd=None, path=ROOT, **variables):
    """Run `python -m resattnet` with the package in the folder `path`."""
    return subprocess.run(
        [sys.executable, "-m", "resattnet"] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
        env=dict(os.environ, PYTHONPATH=str(path), **variables),
    )


def python(code, *args, isa=None):
    """Run Python code that may import the package and the helpers, on a CPU with at most the instructions `isa`."""
    variables = {name: value for name, value in os.environ.items() if name != "DNNL_MAX_CPU_ISA"}
    variables.update({"DNNL_MAX_CPU_ISA": isa} if isa else {})
    return subprocess.run(
        [sys.executable, "-c", code] + [str(arg) for arg in args],
        capture_output=True,
        text=True,
        timeout=280,
        env=dict(variables, PYTHONPATH=os.pathsep.join([ROOT, os.path.join(ROOT, "tests")])),
    )


def refused(done):
    """Check that a call was refused with a one-line error, and return that line."""
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    return done.stderr
