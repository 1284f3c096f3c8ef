"""Test the measurement of the start: turns, figures of a process, and what is refused."""

import sys

import pytest

from resattnet.benchmark import start
from resattnet.benchmark.options import BenchmarkOptions
from resattnet.system.errors import InputError


def test_the_runtimes_take_turns_and_the_first_round_does_not_count(monkeypatch):
    engine = start.ENGINES["onnxruntime"]
    monkeypatch.setattr(start, "ENGINES", {"json": engine._replace(package="json")})  # a package that is installed
    calls = []

    def run(words):
        calls.append(words)
        return float(len(calls)), 0.5, f"VmHWM:\t {1024 * len(calls)} kB\n"

    monkeypatch.setattr(start, "_run", run)
    by_mxnet, by_engine = start.measure_starts(2)
    assert [words[-1] for words in calls[1:]] == ["mxnet", "json"] * 3  # after the export
    assert by_mxnet == ("mxnet", [4, 6], [0.5, 0.5], [4, 6]) and by_engine == ("json", [5, 7], [0.5, 0.5], [5, 7])
    assert [words[words.index("--params") + 1].endswith(".onnx") for words in calls[1:3]] == [False, True]
    lines = list(start.start_lines([by_mxnet, by_engine]))
    assert lines[1].split() == ["mxnet", "5.00", "4.00", "-", "6.00", "0.50", "5"]


def test_the_seconds_and_the_memory_are_those_of_the_process():
    program = "import sys, time; time.sleep(0.2); print('VmHWM: 7 kB', file=sys.stderr)"
    seconds, cpu_seconds, told = start._run([sys.executable, "-c", program])
    assert seconds > 0.2 and 0 < cpu_seconds < seconds and told == "VmHWM: 7 kB\n"


def test_a_process_that_fails_is_one_line():
    with pytest.raises(InputError, match=r"start=True: .* failed \(no such thing\)"):
        start._run([sys.executable, "-c", "raise SystemExit('no such thing')"])


@pytest.mark.parametrize("other", [dict(profile=True), dict(json="speed.json")])
def test_it_replaces_the_parts(other):
    with pytest.raises(InputError, match="start=True .*: it measures instead of the parts; leave the others out"):
        BenchmarkOptions(start=True, **other)


def test_without_an_engine_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(start, "ENGINES", {})
    with pytest.raises(InputError, match="start=True: no engine is installed: python -m pip install"):
        start.measure_starts(1)
