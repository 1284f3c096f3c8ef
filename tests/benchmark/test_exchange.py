"""Test the model of the exchange of gradients against hand-computed cases, and the measurement in two processes."""

import csv
import subprocess
import sys

import pytest

from helpers import jobs
from resattnet.benchmark import exchange, exchange_model, exchange_worker
from resattnet.benchmark.exchange_model import Load, describe, efficiency, predictions, ring_seconds, server_seconds
from resattnet.benchmark.options import BenchmarkOptions
from resattnet.commands import benchmark
from resattnet.system.errors import InputError


def test_a_ring_sends_nearly_twice_the_gradients_whatever_the_number_of_processes():
    assert ring_seconds(100e6, 2, 1e9, 0) == pytest.approx(0.1)
    assert ring_seconds(100e6, 4, 1e9, 0) == pytest.approx(0.15)
    assert ring_seconds(100e6, 512, 1e9, 0) == pytest.approx(0.2, rel=0.01)
    assert ring_seconds(0, 512, 1e9, 1e-5) == pytest.approx(1022e-5)
    assert ring_seconds(100e6, 1, 1e9) == 0


def test_few_servers_are_the_bottleneck():
    assert server_seconds(100e6, 8, 1e9, 8, 0) == pytest.approx(0.1)
    assert server_seconds(100e6, 8, 1e9, 1, 0) == pytest.approx(0.8)
    assert server_seconds(100e6, 8, 1e9, 16, 0) == pytest.approx(0.1)


def test_an_exchange_within_the_backward_pass_costs_nothing():
    load = Load(56, 1e8, 0.3)
    assert efficiency(load, 0.2) == pytest.approx(1) and efficiency(load, 0) == pytest.approx(1)
    assert efficiency(load, 0.5) == pytest.approx(0.5)


def test_the_table_says_where_more_processes_do_not_pay():
    rows = list(predictions([Load(56, 100e6, 0.05)]))
    assert len(rows) == len(exchange_model.PROCESSES) * len(exchange_model.GIGABITS)
    lines = describe(rows)
    assert lines[-3] == "a ring: less than 50% of the speed is left with 10 Gbit/s, depth 56"
    # 8 x 100 MB through 12.5 GB/s take 64 ms: 50 / (50 / 3 + 64) = 62 % are left, and of 20 ms 28 %.
    assert lines[-1] == "N / 8 servers: less than 50% of the speed is left with 10 Gbit/s, depth 56"
    faster = describe(list(predictions([Load(56, 100e6, 0.02)])))[-1]
    assert faster.startswith("N / 8 servers: less than 50% of the speed is left with 10 Gbit/s, depth 56; 100 Gbit/s")


def test_options_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="^scaling=s: this replaces the parts; leave train out"):
        benchmark.read_options({"parts": ["train"], "scaling": "s"})
    with pytest.raises(InputError, match="^device_teraflops=5.0 has no effect without scaling"):
        BenchmarkOptions(device_teraflops=5.0)


def test_a_gradient_is_sent_early_if_the_backward_pass_goes_on():
    def event(name, begin, end):
        return [{"name": name, "ph": "B", "ts": begin}, {"name": name, "ph": "E", "ts": end}]

    backward = [
        *event("Convolution", 0, 1),
        *event("_backward_Convolution,add_n", 1, 2),
        *event("_backward_copy", 3, 9),
    ]
    sent = [time for begin in (2, 8, 9, 20) for time in event("KVStoreDistDefaultStoragePushPull", begin, begin + 5)]
    assert exchange_worker.sent_early(backward + sent) == 0.5


def test_the_cores_are_divided_before_mxnet_is_imported():
    code = "import sys, resattnet.benchmark.exchange_worker; sys.exit('mxnet' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_steps_are_measured_in_two_processes(tmp_path, monkeypatch, capfd):
    for name, value in jobs.environment().items():
        monkeypatch.setenv(name, value)
    options = BenchmarkOptions(
        widths="tiny", unit="basic", batch_size=2, steps=1, repeats=2, scaling=str(tmp_path / "s"), device_teraflops=5.0
    )
    row = exchange.measure_processes(options, 2)
    assert row["processes"] == 2 and 1e6 < row["gradient_bytes"] < 3e6
    assert 0 < row["exchange"] and row["alone"] < 2 * row["whole"]
    assert 0.8 < row["sent_early"] < 1  # all but the gradients that are the last to be computed
    lines = list(exchange.measured_lines([row]))
    assert len(lines) == 2 and lines[1].split()[0] == "2"
    rows = exchange.predict(options)
    assert {line["num_layers"] for line in rows} == {56, 92, 128, 164, 236, 452}
    exchange.write_rows(str(tmp_path / "s.csv"), rows)
    with open(tmp_path / "s.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(rows)
