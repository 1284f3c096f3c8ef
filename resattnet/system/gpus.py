"""Which GPUs MXNet can use, and why not the others: asked of the NVIDIA driver before MXNet touches one."""

import collections
import ctypes

from .mxnet import INSTALL_CUDA, mx

CAPABILITIES = ((5, 0), (9, 0))  # the wheels hold machine code for 5.0 to 8.6, which serves up to below 9.0, and no PTX
OLDEST_DRIVER = 11000  # CUDA 11.8's libraries run on every driver of the CUDA 11 family

Gpus = collections.namedtuple("Gpus", "usable reasons")


def driver_devices(driver):
    """Ask the NVIDIA `driver` (libcuda, loaded) for its GPUs, before MXNet touches one.

    Returns
    -------
    (devices, reason) : a list of (name, (major, minor)), and why it is empty, or None
    """
    number, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    code = driver.cuInit(0)
    if code:
        why = {100: "sees no GPU", 803: "and its kernel module differ in version: reboot"}.get(code, "does not start")
        return [], f"the NVIDIA driver {why} (cuInit: CUDA error {code})"
    driver.cuDriverGetVersion(ctypes.byref(number))
    if number.value < OLDEST_DRIVER:
        return [], (
            f"the NVIDIA driver serves CUDA {number.value // 1000}.{number.value % 1000 // 10}, MXNet "
            "needs 11.0 or later: install driver 450.80 or later"
        )
    driver.cuDeviceGetCount(ctypes.byref(number))
    devices = []
    for index in range(number.value):
        device, capability = ctypes.c_int(), []
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, len(name), device)
        for attribute in (75, 76):  # compute capability, major and minor
            driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
            capability.append(number.value)
        devices.append((name.value.decode(errors="replace"), tuple(capability)))
    return devices, None if devices else "the NVIDIA driver sees no GPU"


def usable_gpus(devices):
    """Return `Gpus` for `devices`, a list of (name, (major, minor)): those that the wheel has machine code for."""
    first, last = CAPABILITIES
    usable = [index for index, (_, capability) in enumerate(devices) if first <= capability < last]
    reasons = [
        "GPU %d (%s) has compute capability %d.%d: the wheel has code for 5.0 to 8.x only"
        % ((index, name) + capability)
        for index, (name, capability) in enumerate(devices)
        if index not in usable
    ]
    return Gpus(usable, reasons)


def gpus():
    """Return the GPUs that MXNet can use.

    Returns
    -------
    Gpus
        `usable`: the indices i for `mx.gpu(i)`; `reasons`: one line for each GPU that it cannot use,
        or why there is none.
    """
    if not mx.runtime.Features().is_enabled("CUDA"):
        return Gpus(
            [],
            [
                "the MXNet installed is the CPU build: for an NVIDIA GPU, python -m pip uninstall -y mxnet && "
                + INSTALL_CUDA
            ],
        )
    devices, reason = driver_devices(ctypes.CDLL("libcuda.so.1"))
    return Gpus([], [reason]) if reason else usable_gpus(devices)
