"""Group the options for devices and batches, which several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from .fields import Options, option
from .rules import Conflict, Rule, When

GPUS = When("num_gpus", above=0, instead=0)  # a merge that drops the GPUs uses the CPU
SEVERAL_CPUS = When("num_cpus", above=1)
DEVICE_RULES: Tuple[Rule, ...] = (Conflict(GPUS, SEVERAL_CPUS),)


@dataclass(frozen=True)
class BatchOptions(Options):
    """The size of a batch."""

    heading = "devices and batches"

    batch_size: int = option(64, "images per batch on each device", low=1, short="-b")


@dataclass(frozen=True)
class GpuOptions(BatchOptions):
    """GPUs or the CPU."""

    num_gpus: Optional[int] = option(
        None, "number of GPUs to use; 0: the CPU", low=0, unset="all that MXNet can use, else the CPU"
    )


@dataclass(frozen=True)
class DeviceOptions(GpuOptions):
    """GPUs, or the CPU as one or several devices, and the processes that make batches."""

    num_cpus: int = option(
        1,
        "use the CPU as N devices; each has its own batches and, unless OMP_NUM_THREADS is set, its own part of the "
        "cores",
        low=1,
    )
    workers: int = option(0, "processes that make batches; 0: the main process makes them", low=0, short="-j")

    rules = DEVICE_RULES
