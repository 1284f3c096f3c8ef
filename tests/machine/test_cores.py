"""Test counting the cores of a CPU or container and splitting them among devices."""

import os

import pytest

from resattnet.machine import cores


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


@pytest.mark.parametrize("devices, threads", [(1, "6"), (2, "3"), (4, "1"), (12, "1")])
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
