"""Count the CPU's cores, and set the threads and scratch memory that MXNet computes with on them.

MXNet reads both settings once, when it is imported, so this module does not import it.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import Callable, Dict, Iterator, Mapping

from ..system.errors import InputError

# Pieces of scratch memory for each device. A piece grows to the largest size that a layer has asked of it. Measured on
# two devices: 64 pieces took 15 MiB more than MXNet's own 4 where the process held 2.0 GiB (inference, thin 56, 250
# images each), and 65 MiB more where it held 2.6 GiB (training, full 56, 32 images each).
SCRATCH_PER_DEVICE = 32
_SCRATCH = "MXNET_CPU_TEMP_COPY"
_SEPARATE = 65536  # more than the layers of a training step on all devices


def thread_siblings(cpu: int) -> str:
    """Return a name of the physical core that the logical CPU number `cpu` is a thread of."""
    path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    if not os.path.exists(path):
        return str(cpu)
    with open(path) as stream:
        return stream.read().strip()


def container_cpus(root: str = "/sys/fs/cgroup") -> float:
    """Return the number of CPUs that the container's quota allows; infinity where there is no quota.

    Parameters
    ----------
    root : str
        Folder of the control groups, version 1 or 2.
    """
    quota, period = "max", "100000"
    if os.path.exists(root + "/cpu.max"):
        with open(root + "/cpu.max") as stream:
            quota, period = stream.read().split()
    elif os.path.exists(root + "/cpu/cpu.cfs_quota_us"):
        with open(root + "/cpu/cpu.cfs_quota_us") as first, open(root + "/cpu/cpu.cfs_period_us") as second:
            quota, period = first.read(), second.read()
    if quota.strip() in ("max", "-1"):
        return math.inf
    return float(quota) / float(period)


def core_count(siblings: Callable[[int], str] = thread_siblings, quota: Callable[[], float] = container_cpus) -> int:
    """Return the number of physical cores that this process may keep busy, at least 1."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return os.cpu_count() or 1
    cores = len({siblings(cpu) for cpu in os.sched_getaffinity(0)})
    return max(1, min(cores, math.ceil(min(quota(), cores))))


_defaults: Dict[str, str] = {}  # the environment variables that this process has set, as the user had not


def set_default(name: str, value: str) -> None:
    """Set an environment variable of this process, unless the user has set it."""
    if name not in os.environ:
        os.environ[name] = _defaults[name] = value


def users_environment() -> Dict[str, str]:
    """Return the environment without the defaults of this process.

    A command that is started with these would take them for the user's settings, and not set its own.
    """
    return {name: value for name, value in os.environ.items() if _defaults.get(name) != value}


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the context, for what reads them there or is started there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def split_cores(devices: int, processes: int = 1) -> None:
    """Divide the CPU cores among N devices that compute at the same time. Call this before MXNet is imported.

    Each of several devices has one thread: see `check_threads`. Sets the environment variables `OMP_NUM_THREADS` and,
    for several devices, `MXNET_CPU_TEMP_COPY`, unless the user has set them.

    Parameters
    ----------
    devices : int
        Number of devices.
    processes : int
        Number of processes that compute on this machine at the same time, each on as many devices.
    """
    set_default("OMP_NUM_THREADS", str(max(1, core_count() // processes) if devices == 1 else 1))
    if devices > 1:
        # All devices take the scratch memory of their layers from one ring. With MXNet's own four pieces they wait for
        # each other at inference, so that only one computes at a time.
        set_default(_SCRATCH, str(SCRATCH_PER_DEVICE * devices))


def check_threads(devices: int) -> None:
    """Raise InputError if several CPU devices have more than one thread each.

    The OpenBLAS of MXNet 1.9.1 keeps no two products with several threads apart: in every run that was tried, with two
    devices of two threads, a product waited for ever.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    if devices > 1 and threads.split(",")[0].strip() != "1":
        raise InputError(
            f"`num_cpus={devices}`: MXNet's matrix product hangs on CPU devices of more than one thread each: "
            f"set OMP_NUM_THREADS=1 in place of {threads}, before MXNet is imported"
        )


def separate_scratch() -> None:
    """Give each layer on each CPU device its own scratch memory, unless the user has set it. Before MXNet computes.

    A layer that waits for another device keeps its piece. If both devices took their pieces from one short ring, the
    other could wait for that piece, and never come.
    """
    if os.environ.get(_SCRATCH) == _defaults.get(_SCRATCH):
        os.environ[_SCRATCH] = _defaults[_SCRATCH] = str(_SEPARATE)
