"""Measure training steps in several processes of this machine, and predict those of many GPUs: `--scaling`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any, Dict, Iterator, List

from ..launcher.members import members_of
from ..launcher.options import LaunchOptions
from ..launcher.supervisor import Supervisor
from ..models.spec import NetworkSpec, attention_net_spec
from ..system.errors import InputError
from ..system.files import write_csv, writing
from .exchange_model import Load, predictions
from .options import BenchmarkOptions

MOST = 4  # processes that are measured
SIDE, CLASSES = 224, 1000  # of the images whose training is predicted, ImageNet's
PASSES = 3  # a step computes forward, and backward about twice as much
_SETTINGS = ("num_layers", "widths", "unit", "batch_size", "steps", "repeats")


def measure_processes(options: BenchmarkOptions, count: int) -> Dict[str, Any]:
    """Return what `exchange_worker.measure` finds in a number of processes of this machine, by parameter servers."""
    values = {name: getattr(options, name) for name in _SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "found.json")
        words = [sys.executable, "-m", "resattnet.benchmark.exchange_worker", path, json.dumps(values)]
        code = Supervisor(members_of(LaunchOptions(processes=count), words)).run()
        if code:
            raise InputError(f"`scaling={options.scaling}`: the job of {count} processes ended with exit code {code}")
        with open(path) as stream:
            found: Dict[str, Any] = json.load(stream)
            return found


def measured_lines(rows: List[Dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table of measured steps."""
    yield "processes  gradients MB  step without exchange ms  exchange ms  step ms  sent during backward %"
    for row in rows:
        yield (
            f"{row['processes']:9}  {row['gradient_bytes'] / 1e6:12.2f}  {1e3 * row['alone']:24.1f}  "
            f"{1e3 * row['exchange']:11.1f}  {1e3 * row['whole']:7.1f}  {100 * row['sent_early']:22.1f}"
        )


def loads(options: BenchmarkOptions) -> Iterator[Load]:
    """Yield the training step of each depth on a device that computes `device_teraflops`, with images of 224x224."""
    # MXNet starts threads when it is imported: the jobs are started before.
    from ..models.network import build
    from ..models.summary import layers

    for depth in attention_net_spec:
        spec = NetworkSpec(CLASSES, depth, "imagenet", options.widths, options.unit)
        summed = layers(build(spec), SIDE, SIDE)
        operations = 2 * PASSES * sum(layer.macs for layer in summed) * options.batch_size
        seconds = operations / (1e12 * options.device_teraflops)
        yield Load(depth, 4.0 * sum(layer.parameters for layer in summed), seconds)


def predict(options: BenchmarkOptions) -> List[Dict[str, Any]]:
    """Return the rows of `exchange_model.predictions` for all depths."""
    return list(predictions(list(loads(options))))


def write_rows(path: str, rows: List[Dict[str, Any]]) -> None:
    """Write rows as CSV, with four significant digits."""
    with writing(path):
        write_csv(
            path,
            [
                {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
                for row in rows
            ],
        )
