"""Run commands in this process, where a test is not about a process: to start one and import MXNet takes seconds."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from helpers.scripts import ROOT
from resattnet import commands
from resattnet.system import calls, console


def script_here(name, *args, cwd=None):
    """Do what `helpers.scripts.script` does, without a process, and return the same."""
    (command,) = [command for command in commands.COMMANDS if name in calls.script_names(command)]
    return _run(command, os.path.join(ROOT, "scripts", name), args, cwd)


def package_here(*args, cwd=None):
    """Do what `helpers.scripts.package` does, without a process, and return the same."""
    return _run(None, os.path.join(ROOT, "resattnet", "__main__.py"), args, cwd)


def _run(command, path, args, cwd):
    words = [path, *map(str, args)]
    out, errors, quiet = io.StringIO(), io.StringIO(), console.is_quiet()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        if cwd is not None:
            patch.chdir(cwd)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                commands.run(command)
        except SystemExit as end:
            return subprocess.CompletedProcess(words, end.code or 0, out.getvalue(), errors.getvalue())
        finally:
            console.set_quiet(quiet)
