"""The engines that join the processes of a run: `KVSTORES`, and `open_group`. Nothing here imports MXNet."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Dict, List, Mapping, NamedTuple, Tuple

from ..system.errors import InputError
from .environment import launched_size
from .exchange import Exchange

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
    compressions : dict of str to (str, str)
        What it can send gradients as, with the module and the class for it.
    """

    module: str
    group: str
    launcher: str
    compressions: Mapping[str, Tuple[str, str]] = {}


_TWO_BITS = {"2bit": ("compressed_group", "CompressedGroup")}

KVSTORES: Dict[str, Engine] = {
    "dist_sync": Engine("kvstore_group", "KVStoreGroup", "servers", _TWO_BITS),
    "dist_device_sync": Engine("kvstore_group", "KVStoreGroup", "servers", _TWO_BITS),
    "dist_async": Engine("async_group", "AsyncGroup", "servers"),
    "horovod": Engine("horovod_group", "HorovodGroup", "horovodrun", {"fp16": ("horovod_group", "HorovodGroup")}),
    "byteps": Engine("byteps_group", "BytePSGroup", "bpslaunch"),
}


# All that gradients can be sent as, with the engines that do it.
COMPRESSIONS: Dict[str, List[str]] = {}
for _name, _engine in KVSTORES.items():
    for _compression in _engine.compressions:
        COMPRESSIONS.setdefault(_compression, []).append(_name)


def check_launched(exchange: Exchange) -> None:
    """Raise InputError if a launcher has started several processes, and no engine joins them."""
    size = launched_size(os.environ)
    if exchange.kvstore == "none" and size > 1:
        raise InputError(
            f"a launcher has started {size} processes, and each would train the same run: give `kvstore` too, such "
            "as `kvstore=dist_sync`"
        )


def open_group(exchange: Exchange) -> Group:
    """Join the processes of this run by an engine.

    Raises
    ------
    InputError
        If the engine is not installed or no launcher has started this process; without an engine, if a launcher has
        started several processes.
    """
    check_launched(exchange)
    if exchange.kvstore == "none":
        from .group import Group

        return Group()
    engine = KVSTORES[exchange.kvstore]
    module, kind = engine.compressions.get(exchange.compression, (engine.module, engine.group))
    group: Group = getattr(importlib.import_module(f"{__package__}.{module}"), kind)(exchange)
    return group
