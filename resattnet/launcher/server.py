"""Run the scheduler or a server of MXNet's parameter servers: `python -m resattnet.launcher.server`.

The environment variable `DMLC_ROLE` says which. They end when all workers have left.

MXNet does this within its import, which takes seconds of a core, and of which they need the library alone. So they load
only that, unless a word says that the servers make updates: `python -m resattnet.launcher.server dist_async`. A server
without this word still imports MXNet when it receives an optimizer.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pickle
import sys
from typing import Any

from ..machine.packages import package_folders
from ..system.calls import program
from ..system.errors import one_line

UPDATING = "dist_async"
_OPTIMIZER = 0  # the command of a worker that has Python's part of a server do something


def load() -> Any:
    """Return MXNet's library; None where it cannot be loaded without MXNet's import."""
    try:
        path = os.path.join(package_folders("mxnet")[0][0], "libinfo.py")
        spec: Any = importlib.util.spec_from_file_location("libinfo", path)
        libinfo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(libinfo)
        library = ctypes.CDLL(libinfo.find_lib_path()[0], ctypes.RTLD_LOCAL)
    except (IndexError, OSError, RuntimeError):
        return None
    library.MXGetLastError.restype = ctypes.c_char_p
    return library


def serve(library: Any) -> None:
    """Run this scheduler or server until all workers have left."""

    def check(code: int) -> None:
        if code:
            text = library.MXGetLastError().decode("utf-8", "backslashreplace")
            sys.exit(f"{program()}: {one_line(text)}")

    kept = []  # MXNet frees a store whose object has gone

    def obey(command: int, body: bytes, _: Any) -> None:
        if command == _OPTIMIZER:
            kept.append(_set_optimizer(store, body))

    store = ctypes.c_void_p()
    check(library.MXKVStoreCreate(b"dist", ctypes.byref(store)))
    controller = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(obey)
    check(library.MXKVStoreRunServer(store, controller, None))
    library.MXNotifyShutdown()


def _set_optimizer(handle: ctypes.c_void_p, body: bytes) -> Any:
    """Make the server update parameters by a pickled optimizer; return the store."""
    role = os.environ["DMLC_ROLE"]
    os.environ["DMLC_ROLE"] = "worker"  # otherwise the import would run another server, and never return
    try:
        from ..machine.mxnet import mx
    finally:
        os.environ["DMLC_ROLE"] = role
    store = mx.kv.KVStore(handle)
    store.set_optimizer(pickle.loads(body))
    return store


if __name__ == "__main__":
    found = load() if sys.argv[1:] != [UPDATING] else None
    if found is None:
        importlib.import_module("resattnet.machine.mxnet")  # runs it, or says what is missing
    else:
        serve(found)
