"""Find installed packages, load their libraries, and import them without their side effects on each other."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import sys
import types
from typing import Any, ContextManager, Iterator, List, Optional, Tuple

# Of MXNet 1.9.1 and before, for the CPU and for versions of CUDA.
BUILDS = ("mxnet", "mxnet-cu101", "mxnet-cu102", "mxnet-cu110", "mxnet-cu112", "mxnet-cu117")


def installed_version(name: str) -> Optional[str]:
    """Return the version of the installed distribution `name`, or None where it is not installed."""
    from importlib import metadata  # not at the top: Python 3.7 lacks it and is to get the message of `check_python`

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def package_folders(name: str) -> Tuple[List[str], bool]:
    """Return the folders of the package `name`, and whether it has an `__init__.py`.

    The list is empty where there is no such package.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        return [], False
    return list(spec.submodule_search_locations or []), bool(spec.origin and spec.has_location)


def load_library(path: str) -> bool:
    """Load a shared library with its symbols visible to all others; return whether that worked."""
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def hide_module(name: str) -> ContextManager[None]:
    """Context in which ``import name`` fails, as it does where that package is not installed."""
    return _replaced(name, None)  # the import system's own mark for "not to be found"


class LazyModule(types.ModuleType):
    """Module that is imported when one of its attributes is first used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def postpone_module(name: str) -> ContextManager[None]:
    """Context in which ``import name`` gives a `LazyModule`, where the module is not imported already.

    A module that is not installed fails at its import as ever.
    """
    package = name.partition(".")[0]  # that of a module cannot be asked for where its package is missing
    if name in sys.modules or importlib.util.find_spec(package) is None:
        return contextlib.nullcontext()
    return _replaced(name, LazyModule(name))


@contextlib.contextmanager
def _replaced(name: str, replacement: Optional[types.ModuleType]) -> Iterator[None]:
    """Context in which ``import name`` gives another module, or fails if that is None."""
    module = sys.modules.get(name)
    sys.modules[name] = replacement  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if module:
            sys.modules[name] = module


@contextlib.contextmanager
def importing_gluoncv() -> Iterator[None]:
    """Context to import GluonCV in, without the side effects of that import.

    GluonCV refuses to be imported beside PyTorch 2, so PyTorch is hidden from it. It also makes Pillow accept truncated
    images in the whole process, which is undone. What it downloads by is imported when it downloads.
    """
    from PIL import ImageFile

    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with hide_module("torch"), postpone_module("requests"):
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated
