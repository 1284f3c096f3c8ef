"""Describe one case of the benchmark: `Contender`."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Callable, Dict, NamedTuple, Optional

from ..machine.cores import SCRATCH_PER_DEVICE
from ..system.errors import InputError
from .options import BenchmarkOptions


class Unavailable(InputError):
    """A contender cannot run on this machine; the others can."""


class Contender(NamedTuple):
    """One case of the benchmark.

    Attributes
    ----------
    part, name : str
        Part of the benchmark, and name within it.
    build : callable
        The builder. What it returns does the work once and returns the number of images, or a tuple with the seconds of
        each image where each is a call of its own.
    arguments : dict
        Of the builder, beside the options.
    rival : str or None
        Name of the PyTorch contender to compare with.
    process : str or None
        Contenders of the same value share one process.
    environment : dict of str to str
        Environment variables of its process.
    package : str or None
        Package without which the builder raises `Unavailable` at once.
    """

    part: str
    name: str
    build: Callable[..., Callable[[], Any]]
    arguments: dict = {}
    rival: Optional[str] = None
    process: Optional[str] = None
    environment: dict = {}
    package: Optional[str] = None

    @property
    def devices(self) -> int:
        """Number of CPU devices that share its threads and its batch."""
        return self.arguments.get("devices", 1)

    @property
    def child_environment(self) -> Dict[str, str]:
        """Environment variables that MXNet reads when its process imports it; the user's own scratch size wins."""
        if self.devices == 1:
            return self.environment
        pieces = os.environ.get("MXNET_CPU_TEMP_COPY", str(SCRATCH_PER_DEVICE * self.devices))
        return dict({"OMP_NUM_THREADS": "1", "MXNET_CPU_TEMP_COPY": pieces}, **self.environment)

    @property
    def obstacle(self) -> Optional[str]:
        """Why the case cannot be measured fairly on this machine, or None."""
        if self.devices in (1, threads()):
            return None
        count = "1 thread" if threads() == 1 else f"{threads()} threads"
        return f"{self.name}: left out, since its {self.devices} devices have one thread each, and the others {count}"


def missing_part(contender: Contender, options: BenchmarkOptions) -> Optional[str]:
    """Return what the builder of a case says whose package is not installed; None where it is."""
    if contender.package is None or importlib.util.find_spec(contender.package):
        return None
    try:
        contender.build(options, **contender.arguments)
    except Unavailable as error:
        return str(error)
    return None


def threads() -> int:
    """Return the number of threads of each contender: `OMP_NUM_THREADS`, which `machine.mxnet` sets by default."""
    text = os.environ["OMP_NUM_THREADS"].split(",")[0]
    if not text.isdigit() or not int(text):
        raise InputError(f"OMP_NUM_THREADS {text}: give a whole number of at least 1")
    return int(text)
