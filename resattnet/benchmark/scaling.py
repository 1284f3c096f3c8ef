"""Measure how training scales: images per second and memory by batch, depth and number of processes."""

from __future__ import annotations

import contextlib
import os
import re
from typing import NamedTuple, Sequence

import numpy as np

from ..machine.cores import core_count
from ..models.spec import attention_net_spec
from ..system.files import write_csv, writing
from .builders import training
from .contender import Contender
from .options import BenchmarkOptions
from .process import ContenderProcess
from .results import WARM_UP_ROUNDS


class Load(NamedTuple):
    """A training step to measure, in `processes` processes beside each other that share the cores."""

    num_layers: int = 56
    batch_size: int = 64
    accumulate: int = 1
    processes: int = 1


class Cost(NamedTuple):
    """Speed and memory of a load.

    Attributes
    ----------
    widths, dtype : str
    num_layers, batch_size, accumulate, processes : int
        Of the load.
    images_per_second : float
        Of all processes together; median of the rounds.
    memory : float
        Peak of all processes together, in MiB.
    busy_cores : float
        Number of cores that the processes kept busy on average.
    limit : str
        What limits the load first: see `limit`.
    """

    widths: str
    dtype: str
    num_layers: int
    batch_size: int
    accumulate: int
    processes: int
    images_per_second: float
    memory: float
    busy_cores: float
    limit: str


LOADS = tuple(
    dict.fromkeys(
        [Load(batch_size=batch_size) for batch_size in (16, 32, 64, 128, 256)]
        + [Load(accumulate=4)]
        + [Load(num_layers=depth) for depth in attention_net_spec]
        + [Load(batch_size=batch_size, processes=2) for batch_size in (16, 64)]
    )
)


def memory_size() -> float:
    """Return the memory of the machine, or of the container as its /proc shows it, in MiB."""
    if os.path.exists("/proc/meminfo"):
        with open("/proc/meminfo") as stream:
            return int(re.findall(r"MemTotal: +(\d+) kB", stream.read())[0]) / 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def limit(busy_cores: float, memory: float, cores: float, available: float) -> str:
    """Return what limits a load first.

    Parameters
    ----------
    busy_cores, cores : float
        Cores that are busy, and all cores.
    memory, available : float
        Memory that is used, and all memory, in the same unit.

    Returns
    -------
    str
        'memory' where twice the batch would not fit; 'cores' where they are busy more than 90 % of the time; else
        'waiting': threads wait for each other, or operators for the engine.
    """
    if memory > available / 2:
        return "memory"
    return "cores" if busy_cores > 0.9 * cores else "waiting"


def measure_cost(load: Load, widths: str, repeats: int, dtype: str = "float32") -> Cost:
    """Measure a load in `repeats` turns of one step.

    Raises
    ------
    InputError
        If the load does not fit into the memory.
    """
    options = BenchmarkOptions(
        num_layers=load.num_layers, widths=widths, batch_size=load.batch_size, steps=1, dtype=dtype
    )
    cores = core_count()
    contender = Contender(
        "cost",
        _name(load, widths),
        training,
        dict(accumulate=load.accumulate),
        environment={"OMP_NUM_THREADS": str(max(1, cores // load.processes))},
    )
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(ContenderProcess([contender], options)) for _ in range(load.processes)]
        for process in processes:
            process.wait_until_built()
        rounds = []
        for _ in range(WARM_UP_ROUNDS + repeats):
            for process in processes:
                process.begin()
            rounds.append([process.finish() for process in processes])
    rounds = rounds[WARM_UP_ROUNDS:]
    speed = np.median([sum(turn.speed for turn in turns) for turns in rounds])
    busy = np.median([sum(turn.cpu_seconds / turn.seconds for turn in turns) for turns in rounds])
    memory = sum(turn.peak_memory for turn in rounds[-1])
    return Cost(
        widths,
        dtype,
        load.num_layers,
        load.batch_size,
        load.accumulate,
        load.processes,
        float(speed),
        memory,
        float(busy),
        limit(busy, memory, cores, memory_size()),
    )


def _name(load: Load, widths: str) -> str:
    processes = "1 process" if load.processes == 1 else f"{load.processes} processes"
    return f"Attention-{load.num_layers} ({widths}), batch {load.batch_size} x {load.accumulate}, {processes}"


def write_table(path: str, costs: Sequence[Cost]) -> None:
    """Write costs as CSV, with four significant digits."""
    with writing(path):
        write_csv(
            path,
            [
                {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in cost._asdict().items()}
                for cost in costs
            ],
        )


def draw(path: str, costs: Sequence[Cost]) -> None:
    """Draw images per second and memory of at least one cost against batch and depth, as a PNG or SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    figure.suptitle(f"Training on the CPU, {costs[0].widths} widths, {costs[0].dtype}")
    axes = figure.subplots(2, 2, sharex="col")
    plain = [cost for cost in costs if cost.accumulate == cost.processes == 1]
    for column, (axis, label, rows) in enumerate(
        (
            ("batch_size", "images of a batch (Attention-56)", [cost for cost in plain if cost.num_layers == 56]),
            ("num_layers", "depth (batch 64)", [cost for cost in plain if cost.batch_size == 64]),
        )
    ):
        if not rows:  # the machine has too little memory for all of them
            continue
        rows = sorted(rows, key=lambda cost: getattr(cost, axis))
        positions = [getattr(cost, axis) for cost in rows]
        for row, (text, values) in enumerate(
            (
                ("images/s in training", [cost.images_per_second for cost in rows]),
                ("peak memory, GiB", [cost.memory / 1024 for cost in rows]),
            )
        ):
            axes[row, column].plot(positions, values, "o-")
            axes[row, column].set(xscale="log", ylabel=text, ylim=(0, 1.1 * max(values)))
            axes[row, column].grid(alpha=0.3)
        axes[1, column].set_xlabel(label)
        axes[1, column].set_xticks(positions, [str(count) for count in positions])
        axes[1, column].minorticks_off()
    with writing(path):
        figure.savefig(path, dpi=110)
