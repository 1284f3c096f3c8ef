"""The CPU's cores, and what MXNet computes with on them: threads and scratch memory.

MXNet asks for both once, at its import, so nothing here imports it.
"""

import math
import os

# Pieces of scratch memory; each grows to the largest that a layer has asked of it. On two devices, 64 of them took
# 15 MiB more than MXNet's 4 where the process held 2.0 GiB (inference, thin 56, 250 images each), and 65 where it
# held 2.6 (training, full 56, 32 images each).
SCRATCH_PER_DEVICE = 32


def thread_siblings(cpu):
    """Return the name of the physical core that `cpu` is a thread of."""
    path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    if not os.path.exists(path):
        return str(cpu)
    with open(path) as stream:
        return stream.read().strip()


def container_cpus(root="/sys/fs/cgroup"):
    """Return how many CPUs the container's quota grants, as a float; infinity without one."""
    quota, period = "max", "100000"
    if os.path.exists(root + "/cpu.max"):
        with open(root + "/cpu.max") as stream:
            quota, period = stream.read().split()
    elif os.path.exists(root + "/cpu/cpu.cfs_quota_us"):
        with open(root + "/cpu/cpu.cfs_quota_us") as first, open(root + "/cpu/cpu.cfs_period_us") as second:
            quota, period = first.read(), second.read()
    return float(quota) / float(period) if quota.strip() not in ("max", "-1") else math.inf


def core_count(siblings=thread_siblings, quota=container_cpus):
    """Return the number of physical cores that this process may keep busy, at least 1."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return os.cpu_count() or 1
    cores = len({siblings(cpu) for cpu in os.sched_getaffinity(0)})
    return max(1, min(cores, math.ceil(min(quota(), cores))))


def split_cores(devices):
    """Have MXNet compute on so many devices side by side, each with as many threads as its part of the cores.

    The user's own `OMP_NUM_THREADS` and `MXNET_CPU_TEMP_COPY` win. To be called before MXNet is imported.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, core_count() // devices)))
    if devices > 1:
        # All devices take their layers' scratch memory from one ring; with MXNet's own four pieces they wait for each
        # other at inference, one computing at a time.
        os.environ.setdefault("MXNET_CPU_TEMP_COPY", str(SCRATCH_PER_DEVICE * devices))
