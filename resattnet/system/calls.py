"""Show how to call commands, in the way in which this process was called."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Iterator, List, NamedTuple, Optional

# Of the commands whose script has another name.
_SCRIPTS = {"train": "cifar10_train.py", "train-images": "imagenet_train.py", "test": "cifar10_test.py"}
# A second script of a command, which the scripts of this family name: both do the same.
_FAMILY = "imagenet_"
_SCRIPTS_OF_FAMILY = {"test": "imagenet_test.py"}
_WITHOUT_SCRIPT = ("summary", "tour")
_PLACEHOLDER = re.compile(r"\{command(?: ([a-z-]+))?\}")


class Call(NamedTuple):
    """How this process was called.

    Attributes
    ----------
    program : str
        What errors and usage name: `cifar10_train.py`, `resattnet train` or `python -m resattnet train`.
    prefix : str
        What is written before the name of a command: `resattnet` or `python -m resattnet`; for a script, what calls
        the commands that have no script.
    from_script : bool
        Whether this process runs a script of `scripts/`.
    """

    program: str
    prefix: str = "python -m resattnet"
    from_script: bool = False


_call: Optional[Call] = None


def script_name(name: str) -> Optional[str]:
    """Return the file name of a command's script, `cifar10_train.py` for `train`; None for a command without one."""
    if name in _WITHOUT_SCRIPT:
        return None
    return _SCRIPTS.get(name, name.replace("-", "_") + ".py")


def script_names(name: str) -> List[str]:
    """Return the file names of all scripts of a command, the usual one first."""
    return [script for script in (script_name(name), _SCRIPTS_OF_FAMILY.get(name)) if script is not None]


def script_call(name: str, path: str) -> Call:
    """Return the call of the script of the command `name` whose path is `sys.argv[0]`."""
    scripts = script_names(name)
    own = os.path.basename(path)
    return Call(own if own in scripts else scripts[0], from_script=True)


def package_call(path: str, name: Optional[str] = None) -> Call:
    """Return the call of the console command or of `python -m resattnet`.

    Parameters
    ----------
    path : str
        `sys.argv[0]`.
    name : str, optional
        The command. Default: none is known yet.
    """
    prefix = "python -m resattnet" if os.path.basename(path) == "__main__.py" else "resattnet"
    return Call(prefix if name is None else f"{prefix} {name}", prefix)


@contextlib.contextmanager
def called_as(call: Call) -> Iterator[None]:
    """Within this context, show other commands and the source of errors as the user called this process."""
    global _call
    before, _call = _call, call
    try:
        yield
    finally:
        _call = before


def command(name: str) -> str:
    """Return how a command is called, in the way in which this process was called.

    Parameters
    ----------
    name : str
        The command, such as `test` or `show-masks`.

    Returns
    -------
    str
        `python scripts/cifar10_test.py` in a script, `resattnet test` in the console command, and
        `python -m resattnet test` otherwise.
    """
    script = script_name(name) if _call is not None and _call.from_script else None
    if script is not None:
        if _call is not None and _call.program.startswith(_FAMILY):
            script = _SCRIPTS_OF_FAMILY.get(name, script)
        return f"python scripts/{script}"
    return f"{_call.prefix if _call is not None else 'python -m resattnet'} {name}"


def program() -> str:
    """Return the name of this process for errors and usage."""
    return _call.program if _call is not None else os.path.basename(sys.argv[0])


def fill_in_commands(text: str, name: str) -> str:
    """Replace `{command}` in a text by how the command `name` is called, and `{command test}` by how `test` is."""
    return _PLACEHOLDER.sub(lambda found: command(found.group(1) or name), text)
