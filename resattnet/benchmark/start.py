"""Measure the start of a prediction: a new process names the class of one photograph, by each runtime."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
from PIL import Image

from ..machine.processes import package_command, package_environment
from ..runtimes.engines import ENGINES
from ..system.errors import InputError, one_line
from .results import median_and_range

PARAMS = "cifar10_attention56_thin"
SIZE = 500, 375  # pixels of the photograph, width and height
# The command, which then reports its largest memory. What the parent of a process is told of it is never less than the
# parent's own.
_PREDICT = """
import sys
from resattnet.commands import load_command, parse
code = load_command("predict").main(parse("predict", sys.argv[1:]))
print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


class Start(NamedTuple):
    """What a prediction of one photograph takes in a new process, from its start to its end.

    Attributes
    ----------
    runtime : str
    seconds : list of float
        By the clock, in each round.
    cpu_seconds : list of float
        Of all cores; other programs change them less.
    mebibytes : list of float
        Largest resident memory.
    """

    runtime: str
    seconds: List[float]
    cpu_seconds: List[float]
    mebibytes: List[float]


def measure_starts(rounds: int) -> List[Start]:
    """Measure the start by MXNet and by the engines that are installed, in turns, after a round that is not counted.

    Parameters
    ----------
    rounds : int

    Raises
    ------
    InputError
        If no engine is installed, or a process fails.
    """
    engines = [name for name, engine in ENGINES.items() if engine.is_installed]
    if not engines:
        raise InputError("`start=True`: no engine is installed: python -m pip install -e '.[onnx,openvino]'")
    starts = [Start(name, [], [], []) for name in ("mxnet", *engines)]
    with tempfile.TemporaryDirectory() as folder:
        exported, photograph = os.path.join(folder, "net.onnx"), os.path.join(folder, "photograph.jpg")
        pixels = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(photograph)
        _run([*package_command("export"), "--params", PARAMS, "--output", exported])
        for number in range(rounds + 1):
            for start in starts:
                params = PARAMS if start.runtime == "mxnet" else exported
                words = [sys.executable, "-c", _PREDICT, "--params", params, photograph, "--runtime", start.runtime]
                seconds, cpu_seconds, told = _run(words)
                if number:
                    start.seconds.append(seconds)
                    start.cpu_seconds.append(cpu_seconds)
                    start.mebibytes.append(int(told.split("VmHWM:")[1].split()[0]) / 1024)
    return starts


def _run(words: Sequence[str]) -> Tuple[float, float, str]:
    """Run a command; return its seconds by the clock and of all cores, and what it wrote to stderr."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        child = subprocess.Popen(words, env=package_environment(), stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = status
        errors.seek(0)
        told = errors.read()
    if status:
        raise InputError(f"`start=True`: {' '.join(words[-6:])} failed ({one_line(told.strip()[-300:])})")
    return seconds, usage.ru_utime + usage.ru_stime, told


def start_lines(starts: Sequence[Start]) -> Iterator[str]:
    """Yield the lines of the table: medians, and the range of the seconds."""
    yield "predict, one photograph  seconds      min - max      CPU seconds    MiB"
    for start in starts:
        wall, cpu, memory = (median_and_range(values) for values in start[1:])
        yield (
            f"{start.runtime:<23}  {wall['median']:7.2f}  {wall['min']:7.2f} - {wall['max']:<7.2f}  "
            f"{cpu['median']:9.2f}  {memory['median']:6.0f}"
        )
