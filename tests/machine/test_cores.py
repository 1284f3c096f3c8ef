"""Test counting the cores of a CPU or container and splitting them among devices."""

import os
import subprocess
import sys

import pytest

from helpers.scripts import ROOT
from resattnet.machine import cores
from resattnet.machine.devices import choose_devices
from resattnet.system.errors import InputError


@pytest.mark.parametrize(
    "cpus, siblings, quota, expected",
    [
        (range(4), lambda cpu: str(cpu), float("inf"), 4),
        (range(8), lambda cpu: str(cpu % 4), float("inf"), 4),  # two threads per core
        (range(64), lambda cpu: str(cpu), 1.5, 2),  # a container's CPU quota
        ([5], lambda cpu: str(cpu), 0.2, 1),
    ],
)
def test_core_count(monkeypatch, cpus, siblings, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(cpus), raising=False)
    assert cores.core_count(siblings, lambda: quota) == expected


@pytest.mark.parametrize("devices, threads", [(1, "6"), (2, "1"), (12, "1")])
def test_devices_divide_the_cores(monkeypatch, devices, threads):
    monkeypatch.setattr(cores, "core_count", lambda: 6)
    monkeypatch.setattr(os, "environ", {})
    cores.split_cores(devices)
    set_by_us = dict(os.environ)
    assert set_by_us.pop("MXNET_CPU_TEMP_COPY", None) == (None if devices == 1 else str(32 * devices))
    assert set_by_us == {"OMP_NUM_THREADS": threads}
    before = dict(os.environ)
    cores.split_cores(1)
    assert os.environ == before, "what is set stays"


@pytest.mark.parametrize("threads", ["2", "4,1"])
def test_several_devices_of_several_threads_are_refused(monkeypatch, threads):
    """MXNet's OpenBLAS would hang in a product of matrices."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    with pytest.raises(InputError, match=f"^num_cpus=2: .* hangs .*OMP_NUM_THREADS=1 in place of {threads}, before"):
        choose_devices(0, 2)
    assert len(choose_devices(0, 1)[0]) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert len(choose_devices(0, 2)[0]) == 2


def test_container_cpus(tmp_path):
    assert cores.container_cpus(str(tmp_path)) == float("inf")
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores.container_cpus(str(tmp_path)) == float("inf")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("250000\n")
    assert cores.container_cpus(str(tmp_path)) == 2.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores.container_cpus(str(tmp_path)) == float("inf")
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert cores.container_cpus(str(tmp_path)) == 4


@pytest.mark.parametrize("threads", [None, "3"])
def test_a_command_that_is_started_divides_the_cores_itself(threads):
    """The threads that the starting process has chosen are not taken for the user's."""
    code = (
        "from resattnet.machine import mxnet; from resattnet.experiments.subprocesses import package_environment; "
        "import os; print('OMP_NUM_THREADS' in os.environ, package_environment().get('OMP_NUM_THREADS'), "
        "[name for name in package_environment() if name.startswith(('GOMP_', 'MXNET_'))])"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MXNET_"))
    }
    environment.update({"OMP_NUM_THREADS": threads} if threads else {})
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == f"True {threads} []\n", done
