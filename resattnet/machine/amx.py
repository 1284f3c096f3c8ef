"""Ask Linux for AMX, the matrix unit of Intel's server CPUs since 2023. `onednn.turn_amx_on` uses it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

ISA_VARIABLE, AMX = "DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX"
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA = 158, 0x1023, 18  # of Linux on x86-64


def user_wants_amx() -> bool:
    """Return whether the user has asked oneDNN for AMX: by default, that of MXNet 1.9.1 does not use it."""
    return os.environ.get(ISA_VARIABLE, "").upper() in (AMX, "ALL")


def ask_for_amx() -> bool:
    """Ask Linux to let this process use AMX, and return whether it does.

    The oneDNN of MXNet 1.9.1 does not ask, and without it the first such instruction ends the process.
    """
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA) == 0
