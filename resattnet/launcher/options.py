"""The options of the command that starts the processes of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional, Tuple

from ..options.fields import Options, assignment, option
from ..system.errors import InputError


@dataclass(frozen=True)
class LaunchOptions(Options):
    """Options of the command `launch`; each is the flag of the same name."""

    heading = "processes"

    processes: int = option(
        2, "number of processes that train", low=1, high=1024, why_high="no run here has more", short="-n", metavar="N"
    )
    servers: int = option(
        1,
        "with dist_sync, dist_device_sync and dist_async: number of parameter servers, which add the gradients",
        low=1,
        high=1024,
        why_high="no run here has more",
        short="-s",
        metavar="N",
    )
    hosts: Optional[str] = option(
        None,
        "file with a host on each line, and the number of its processes: node1 slots=4; they are started by ssh, in "
        "this folder and with this Python",
        unset="this machine only",
        metavar="FILE",
    )
    local_devices: Optional[Tuple[int, ...]] = option(
        None,
        "numbers of the GPUs of a machine, from 0, which are divided among its processes, for example 0,1,2,3",
        low=0,
        high=1023,
        why_high="no machine has more GPUs",
        unset="all, divided by the numbers of the processes",
        metavar="NUMBERS",
    )
    port: Optional[int] = option(
        None, "port of the scheduler on this machine", low=1, high=65535, why_high="there is none", unset="a free one"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hosts is not None:
            object.__setattr__(self, "hosts", os.path.expanduser(self.hosts))
        if self.local_devices is not None and len(set(self.local_devices)) < len(self.local_devices):
            raise InputError(f"{assignment('local_devices', self.local_devices)}: give each GPU once")
