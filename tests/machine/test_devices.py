"""Test device selection and the description of the machine."""

import os
import subprocess
import sys

import pytest

from helpers.scripts import ROOT
from resattnet.machine import devices
from resattnet.machine import facts as machine
from resattnet.machine.gpus import Gpus
from resattnet.machine.mxnet import mx
from resattnet.system.errors import InputError


@pytest.mark.parametrize(
    "found, message",
    [
        (
            Gpus([], ["the NVIDIA driver sees no GPU"]),
            "--num-gpus 2: MXNet can use 0 GPUs here (the NVIDIA driver sees no GPU); "
            "leave it out or give --num-gpus 0 to use the CPU",
        ),
        (
            Gpus([1], ["GPU 0 (K80) is too old", "GPU 2 (H100) is too new"]),
            "--num-gpus 2: MXNet can use 1 GPU here (GPU 0 (K80) is too old; GPU 2 (H100) is too new); "
            "give --num-gpus 1, or leave it out to use all of them",
        ),
    ],
)
def test_gpus_that_are_not_there_are_refused_with_what_to_do(monkeypatch, found, message):
    monkeypatch.setattr(devices, "find_gpus", lambda: found)
    with pytest.raises(InputError) as error:
        devices.choose_devices(2)
    assert error.value.as_flags({"num_gpus": "--num-gpus"}) == message


def test_gpus_are_chosen_by_number(monkeypatch):
    monkeypatch.setattr(devices, "find_gpus", lambda: Gpus([0, 2, 3], ["GPU 1 (K80) is too old"]))
    assert devices.choose_devices(gpus=(0, 2)) == ([mx.gpu(0), mx.gpu(2)], [])
    assert devices.choose_devices(gpus=[3, 0])[0] == [mx.gpu(3), mx.gpu(0)]
    assert devices.choose_devices(num_gpus=2)[0] == [mx.gpu(0), mx.gpu(2)]
    with pytest.raises(InputError) as error:
        devices.choose_devices(gpus=(0, 1, 7))
    assert error.value.as_flags({"gpus": "--gpus"}) == (
        "--gpus 0,1,7: MXNet cannot use GPU 1, 7 here (GPU 1 (K80) is too old); give some of --gpus 0,2,3"
    )
    monkeypatch.setattr(devices, "find_gpus", lambda: Gpus([], ["no driver"]))
    with pytest.raises(InputError) as error:
        devices.choose_devices(gpus=(0,))
    assert error.value.as_flags({"gpus": "--gpus", "num_gpus": "--num-gpus"}) == (
        "--gpus 0: MXNet cannot use GPU 0 here (no driver); leave it out or give --num-gpus 0 to use the CPU"
    )


@pytest.mark.parametrize(
    "contexts, threads, expected",
    [
        ([mx.cpu()], "1", "CPU (fast, 1 thread)"),
        ([mx.cpu()], "2", "CPU (fast, 2 threads)"),
        ([mx.cpu(0), mx.cpu(1)], "1", "2 CPU devices (fast, 1 thread each)"),
        ([mx.gpu(0)], "4", "1 GPU (fast, 4 threads)"),
        ([mx.gpu(0), mx.gpu(1)], None, "2 GPU devices (fast, ? threads)"),
    ],
)
def test_the_description_of_the_machine(monkeypatch, contexts, threads, expected):
    monkeypatch.setattr(machine, "cpu_facts", lambda: ("fast", []))
    if threads is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert machine.describe_machine(contexts).startswith(expected + ", Python ")
    assert f"MXNet {mx.__version__}, resattnet " in machine.describe_machine(contexts)


COUNT_THREADS = """
import os
from resattnet.machine.devices import choose_devices
from resattnet.machine.mxnet import mx
if {chosen}:
    choose_devices(0)
x = mx.nd.random.normal(shape=(8, 16, 32, 32))
y = mx.nd.Convolution(x, mx.nd.random.normal(shape=(16, 16, 3, 3)), kernel=(3, 3), num_filter=16, no_bias=True)
y.wait_to_read()
before = len(os.listdir("/proc/self/task"))
y.asnumpy()
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.isa
def test_the_thread_of_a_run_starts_no_team_beside_that_of_mxnet():
    """With a second team, libgomp counts more threads than cores, and lets threads sleep at each barrier."""
    started = {}
    for chosen in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", COUNT_THREADS.format(chosen=chosen)],
            env=dict(os.environ, OMP_NUM_THREADS="2", PYTHONPATH=ROOT),
            capture_output=True,
            text=True,
        )
        started[chosen] = int(done.stdout)
    assert started[True] == 0
    # Without AVX2, oneDNN's convolutions return plain arrays, which need no conversion.
    assert started[False] == 1 or os.environ.get("DNNL_MAX_CPU_ISA") == "SSE41"
