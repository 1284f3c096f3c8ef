"""Test the cost table: what limits a load, what small loads cost, and the output files."""

import csv
import os
import re

import pytest

from resattnet.benchmark import scaling
from resattnet.benchmark.scaling import Cost, Load
from resattnet.machine.cores import core_count
from resattnet.system.errors import InputError

SMALL = Cost("thin", "float32", 56, 16, 1, 1, 70.25, 1000.5, 1.9, "cores")


@pytest.mark.parametrize(
    "busy, memory, expected", [(1.9, 100, "cores"), (1.0, 100, "waiting"), (1.9, 600, "memory"), (0.5, 501, "memory")]
)
def test_what_limits_a_load(busy, memory, expected):
    assert scaling.limit(busy, memory, cores=2, available=1000) == expected


def test_memory_size_is_the_systems_or_a_containers_part_of_it():
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert 16 < scaling.memory_size() <= 1.001 * size


@pytest.fixture
def waiting_threads_sleep(monkeypatch):
    """Otherwise they would take the cores from working threads while other tests run."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")


@pytest.mark.slow
@pytest.mark.usefixtures("waiting_threads_sleep")
def test_accumulating_takes_less_memory_than_the_batch_it_stands_for():
    large = scaling.measure_cost(Load(batch_size=64), "tiny", 1)
    parts = scaling.measure_cost(Load(batch_size=16, accumulate=4), "tiny", 1)
    assert parts.memory < 0.8 * large.memory
    assert large.images_per_second > 0 and 0 < large.busy_cores < core_count() + 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("waiting_threads_sleep")
def test_two_processes_hold_the_memory_of_both():
    one, two = (scaling.measure_cost(Load(batch_size=2, processes=count), "tiny", 1) for count in (1, 2))
    assert 1.5 * one.memory < two.memory < 2.5 * one.memory


def test_the_table_and_the_picture(tmp_path):
    rows = [
        SMALL._replace(num_layers=depth, batch_size=batch_size) for depth, batch_size in ((56, 16), (56, 64), (92, 64))
    ]
    scaling.write_table(str(tmp_path / "cost.csv"), rows)
    with open(str(tmp_path / "cost.csv"), newline="") as handle:
        table = list(csv.DictReader(handle))
    assert [row["batch_size"] for row in table] == ["16", "64", "64"] and table[0]["images_per_second"] == "70.25"
    scaling.draw(str(tmp_path / "cost.png"), rows)
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_output_without_a_folder_is_one_line(tmp_path):
    for write, name in ((scaling.write_table, "cost.csv"), (scaling.draw, "cost.png")):
        path = str(tmp_path / "nowhere" / name)
        with pytest.raises(InputError, match=f"{re.escape(path)} cannot be written .No such file or directory.$"):
            write(path, [SMALL])


def test_the_picture_is_drawn_with_small_batches_only(tmp_path):
    scaling.draw(str(tmp_path / "cost.png"), [SMALL])
    assert (tmp_path / "cost.png").exists()
