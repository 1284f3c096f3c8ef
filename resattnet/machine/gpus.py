"""Find the GPUs that MXNet can use, and the reasons why it cannot use the others.

The NVIDIA driver is asked, so that MXNet never touches a GPU that it has no machine code for.
"""

from __future__ import annotations

import ctypes
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from .mxnet import INSTALL_CUDA, mx

CAPABILITIES = ((5, 0), (9, 0))  # the wheels hold machine code for 5.0 to 8.6, which runs on all below 9.0, and no PTX
OLDEST_DRIVER = 11000  # CUDA 11.8's libraries run on every driver of the CUDA 11 family
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...

Device = Tuple[str, Tuple[int, int]]  # name and compute capability of a GPU


class Gpus(NamedTuple):
    """The GPUs of this machine, as far as MXNet is concerned.

    Attributes
    ----------
    usable : list of int
        The indices i for which ``mx.gpu(i)`` works.
    reasons : list of str
        One line for each GPU that MXNet cannot use, or one line that says why there is none.
    """

    usable: List[int]
    reasons: List[str]


def query_driver(driver: Any) -> Tuple[List[Device], Optional[str]]:
    """Ask the NVIDIA driver for its GPUs.

    Parameters
    ----------
    driver : ctypes.CDLL
        The loaded libcuda.

    Returns
    -------
    devices : list of (name, (major, minor))
        Name and compute capability of each GPU.
    reason : str or None
        Why `devices` is empty.
    """
    number = ctypes.c_int()
    code = driver.cuInit(0)
    if code:
        problem = {100: "sees no GPU", 803: "and its kernel module differ in version: reboot"}
        return [], f"the NVIDIA driver {problem.get(code, 'does not start')} (cuInit: CUDA error {code})"
    driver.cuDriverGetVersion(ctypes.byref(number))
    if number.value < OLDEST_DRIVER:
        return [], (
            f"the NVIDIA driver supports CUDA {number.value // 1000}.{number.value % 1000 // 10}, MXNet "
            "needs 11.0 or later: install driver 450.80 or later"
        )
    driver.cuDeviceGetCount(ctypes.byref(number))
    devices = [_describe_device(driver, index) for index in range(number.value)]
    return devices, None if devices else "the NVIDIA driver sees no GPU"


def _describe_device(driver: Any, index: int) -> Device:
    device, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)

    def attribute(which: int) -> int:
        driver.cuDeviceGetAttribute(ctypes.byref(number), which, device)
        return number.value

    return name.value.decode(errors="replace"), (attribute(_CAPABILITY_MAJOR), attribute(_CAPABILITY_MINOR))


def usable_gpus(devices: Sequence[Device]) -> Gpus:
    """Return which of the driver's GPUs the MXNet wheel has machine code for, and the reasons against the others."""
    first, last = CAPABILITIES
    usable, reasons = [], []
    for index, (name, capability) in enumerate(devices):
        if first <= capability < last:
            usable.append(index)
        else:
            major, minor = capability
            reasons.append(
                f"GPU {index} ({name}) has compute capability {major}.{minor}: the wheel has code for 5.0 to 8.x only"
            )
    return Gpus(usable, reasons)


def find_gpus() -> Gpus:
    """Return the GPUs that MXNet can use, and the reasons why it cannot use the others."""
    if not mx.runtime.Features().is_enabled("CUDA"):
        reason = "the installed MXNet is the CPU build: for an NVIDIA GPU, python -m pip uninstall -y mxnet && "
        return Gpus([], [reason + INSTALL_CUDA])
    devices, problem = query_driver(ctypes.CDLL("libcuda.so.1"))
    return Gpus([], [problem]) if problem else usable_gpus(devices)
