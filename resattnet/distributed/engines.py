"""The engines that join the processes of a run: `KVSTORES`, and `open_group`. Nothing here imports MXNet."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Dict, NamedTuple

from ..system.errors import InputError
from .environment import launched_size

if TYPE_CHECKING:
    from .group import Group


class Engine(NamedTuple):
    """A row of `KVSTORES`.

    Attributes
    ----------
    module, group : str
        Module of this room that has the class, imported only when the engine is chosen, and the class, a `Group`.
    launcher : str
        What starts its processes: 'servers' (a scheduler, servers and workers), 'horovodrun' or 'bpslaunch'.
    """

    module: str
    group: str
    launcher: str


KVSTORES: Dict[str, Engine] = {
    "dist_sync": Engine("kvstore_group", "KVStoreGroup", "servers"),
    "dist_device_sync": Engine("kvstore_group", "KVStoreGroup", "servers"),
    "horovod": Engine("horovod_group", "HorovodGroup", "horovodrun"),
    "byteps": Engine("byteps_group", "BytePSGroup", "bpslaunch"),
}


def open_group(kvstore: str) -> Group:
    """Join the processes of this run by an engine, a key of `KVSTORES`; 'none': this process trains alone.

    Raises
    ------
    InputError
        If the engine is not installed or no launcher has started this process; without an engine, if a launcher has
        started several processes.
    """
    if kvstore == "none":
        size = launched_size(os.environ)
        if size > 1:
            raise InputError(
                f"a launcher has started {size} processes, and each would train the same run: give `kvstore` too, such "
                "as `kvstore=dist_sync`"
            )
        from .group import Group

        return Group()
    engine = KVSTORES[kvstore]
    kind = getattr(importlib.import_module(f"{__package__}.{engine.module}"), engine.group)
    group: Group = kind(kvstore)
    return group
