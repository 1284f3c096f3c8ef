"""Find the trained parameters that come with the package: the files of the folder `weights`."""

from __future__ import annotations

import os
from typing import List

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weights")
INSTALL_AGAIN = "it came with the package: install that again"


def packaged_names() -> List[str]:
    """Return the names of the packaged parameters, which serve as paths in commands and in `Classifier.load`."""
    return sorted(name[: -len(".params")] for name in os.listdir(FOLDER) if name.endswith(".params"))


def packaged_path(name: str) -> str:
    """Return the path of the packaged parameters with a given name."""
    return os.path.join(FOLDER, name + ".params")


def is_packaged(path: str) -> bool:
    """Return whether a file is in the package's folder of parameters."""
    return os.path.dirname(os.path.abspath(path)) == FOLDER


def resolve_path(path: str) -> str:
    """Return the path of a parameter file: `path` itself, or the packaged file of that name if `path` is no file."""
    if os.path.isfile(path) or path not in packaged_names():
        return path
    return packaged_path(path)
