"""Group the options for devices and batches, which several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from ..system.errors import InputError
from .fields import Options, assignment, option
from .rules import Conflict, Rule, When

GPUS = When("num_gpus", above=0, instead=0)  # a merge that drops the GPUs uses the CPU
SEVERAL_CPUS = When("num_cpus", above=1)
CHOSEN_GPUS = When("gpus")
GPU_RULES: Tuple[Rule, ...] = (
    Conflict(
        CHOSEN_GPUS,
        When("num_gpus", above=-1),
        reason="`gpus` says which and how many",
        advice="leave `num_gpus` out",
    ),
)
DEVICE_RULES: Tuple[Rule, ...] = GPU_RULES + (Conflict(GPUS, SEVERAL_CPUS), Conflict(CHOSEN_GPUS, SEVERAL_CPUS))


@dataclass(frozen=True)
class BatchOptions(Options):
    """The size of a batch."""

    heading = "devices and batches"

    batch_size: int = option(
        64,
        "images per batch on each device",
        low=1,
        high=65536,
        why_high="no device holds a larger batch; --accumulate makes the batch of an update larger",
        short="-b",
    )


@dataclass(frozen=True)
class GpuOptions(BatchOptions):
    """GPUs or the CPU."""

    num_gpus: Optional[int] = option(
        None,
        "number of GPUs to use; 0: the CPU",
        low=0,
        high=64,
        why_high="no machine has more GPUs",
        unset="all that MXNet can use, else the CPU",
    )
    gpus: Optional[Tuple[int, ...]] = option(
        None, "instead of --num-gpus: the numbers of the GPUs to use, from 0, for example 0,2", low=0, metavar="NUMBERS"
    )

    rules = GPU_RULES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gpus is not None and len(set(self.gpus)) < len(self.gpus):
            raise InputError(f"{assignment('gpus', self.gpus)}: give each GPU once")


@dataclass(frozen=True)
class DeviceOptions(GpuOptions):
    """GPUs, or the CPU as one or several devices, and the processes that make batches."""

    num_cpus: int = option(
        1,
        "use the CPU as N devices; each has its own batches, and computes in one thread",
        low=1,
        high=64,
        why_high="each device has its own copy of the network",
    )
    workers: int = option(
        0,
        "processes that make batches; 0: the main process makes them",
        low=0,
        high=256,
        why_high="each is a process with memory of its own",
        short="-j",
    )

    rules = DEVICE_RULES
