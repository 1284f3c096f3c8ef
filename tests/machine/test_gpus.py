"""Test detection of the GPUs that MXNet can use, with a fake NVIDIA driver."""

import pytest

from resattnet.machine import gpus, mxnet


class Driver:
    """Fake libcuda with the GPUs in `devices`, a list of (name, (major, minor))."""

    def __init__(self, devices, init=0, version=12040):
        self.devices, self.init, self.version = devices, init, version

    def cuInit(self, flags):
        return self.init

    def cuDriverGetVersion(self, number):
        number._obj.value = self.version

    def cuDeviceGetCount(self, number):
        number._obj.value = len(self.devices)

    def cuDeviceGet(self, device, index):
        device._obj.value = index

    def cuDeviceGetName(self, name, length, device):
        name.value = self.devices[device.value][0].encode()

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = self.devices[device.value][1][attribute - 75]


def test_gpus_of_each_generation():
    cards = [
        ("Tesla K80", (3, 7)),
        ("GTX 1080", (6, 1)),
        ("RTX 4090", (8, 9)),
        ("NVIDIA H100", (9, 0)),
        ("NVIDIA B200", (10, 0)),
    ]
    devices, reason = gpus.query_driver(Driver(cards))
    assert devices == cards and reason is None
    usable, reasons = gpus.usable_gpus(devices)
    assert usable == [1, 2]
    assert reasons[1] == "GPU 3 (NVIDIA H100) has compute capability 9.0: the wheel has code for 5.0 to 8.x only"
    assert [line.split()[1] for line in reasons] == ["0", "3", "4"]


@pytest.mark.parametrize(
    "driver, line",
    [
        (Driver([], init=100), "sees no GPU (cuInit: CUDA error 100)"),
        (Driver([], init=803), "reboot"),
        (Driver([], init=999), "does not start (cuInit: CUDA error 999)"),
        (Driver([]), "the NVIDIA driver sees no GPU"),
        (Driver([("GTX 1080", (6, 1))], version=10020), "supports CUDA 10.2"),
    ],
)
def test_no_gpu_says_why(driver, line):
    devices, reason = gpus.query_driver(driver)
    assert devices == [] and line in reason and "\n" not in reason


def test_gpus_here():
    usable, reasons = gpus.find_gpus()
    assert usable or reasons
    if not mxnet.mx.runtime.Features().is_enabled("CUDA"):
        assert usable == [] and "-r requirements-cu112.txt" in reasons[0]
