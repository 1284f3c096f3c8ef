"""Predict how long processes exchange gradients, and how much of their speed is left: formulas and their table.

The gradients have B bytes, N processes are joined by links of W bytes a second in each direction at the same time, and
a message takes the latency L.

- Ring all-reduce: each process sends and receives 2 (N - 1) / N of B, in 2 (N - 1) messages:
  ``2 (N - 1) / N * B / W + 2 (N - 1) L``.
- S parameter servers, each on a link of its own: a process sends B and receives B at the same time, a server N / S
  times as much: ``max(1, N / S) * B / W + 2 L``.

The exchange of a layer's gradients begins once the backward pass has computed them, so a step takes
``forward + max(backward, exchange)``; the backward pass takes twice as long as the forward pass. The first layers'
gradients come last and are not hidden, which the formula leaves out.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

PROCESSES = (8, 64, 512)
GIGABITS = (10, 100, 400)  # a second, of each process
LATENCY = 20e-6  # seconds
FORWARD = 1 / 3  # share of the forward pass in the computation of a step
PAYS = 0.5  # share of the speed without exchange below which more processes are a waste


class Load(NamedTuple):
    """A training step of one device.

    Attributes
    ----------
    num_layers : int
    gradient_bytes : float
    seconds : float
        Computation of a step, forward and backward.
    """

    num_layers: int
    gradient_bytes: float
    seconds: float


def ring_seconds(gradient_bytes: float, processes: int, bandwidth: float, latency: float = LATENCY) -> float:
    """Return the seconds of a ring all-reduce; `bandwidth` is in bytes a second."""
    return 2 * (processes - 1) * (gradient_bytes / (processes * bandwidth) + latency)


def server_seconds(
    gradient_bytes: float, processes: int, bandwidth: float, servers: int, latency: float = LATENCY
) -> float:
    """Return the seconds of an exchange by parameter servers; `bandwidth` is in bytes a second."""
    return max(1.0, processes / servers) * gradient_bytes / bandwidth + 2 * latency


def efficiency(load: Load, exchange: float) -> float:
    """Return the share of its speed that a device keeps, whose step is overlapped with an exchange of some seconds."""
    backward = (1 - FORWARD) * load.seconds
    return load.seconds / (load.seconds - backward + max(backward, exchange))


def predictions(loads: Sequence[Load]) -> Iterator[Dict[str, Any]]:
    """Yield a row for each load, bandwidth and number of processes, each process having a server beside it."""
    for load in loads:
        for gigabits in GIGABITS:
            bandwidth = gigabits * 1e9 / 8
            for processes in PROCESSES:
                ring = ring_seconds(load.gradient_bytes, processes, bandwidth)
                servers = server_seconds(load.gradient_bytes, processes, bandwidth, processes)
                one = server_seconds(load.gradient_bytes, processes, bandwidth, max(1, processes // 8))
                yield {
                    "num_layers": load.num_layers,
                    "gradient_megabytes": load.gradient_bytes / 1e6,
                    "step_ms": 1e3 * load.seconds,
                    "gigabits": gigabits,
                    "processes": processes,
                    "ring_ms": 1e3 * ring,
                    "servers_ms": 1e3 * servers,
                    "few_servers_ms": 1e3 * one,
                    "ring_efficiency": efficiency(load, ring),
                    "servers_efficiency": efficiency(load, servers),
                    "few_servers_efficiency": efficiency(load, one),
                }


def describe(rows: Sequence[Dict[str, Any]]) -> List[str]:
    """Return the lines of a table of predictions, and one line for each case that does not pay."""
    lines = [
        "depth  gradients MB  step ms  Gbit/s  processes  ring ms  ring %  servers ms  servers %  N/8 servers %",
        *(
            f"{row['num_layers']:5}  {row['gradient_megabytes']:12.1f}  {row['step_ms']:7.1f}  {row['gigabits']:6}  "
            f"{row['processes']:9}  {row['ring_ms']:7.1f}  {100 * row['ring_efficiency']:6.1f}  "
            f"{row['servers_ms']:10.1f}  {100 * row['servers_efficiency']:9.1f}  "
            f"{100 * row['few_servers_efficiency']:13.1f}"
            for row in rows
        ),
    ]
    for name, words in (("ring", "a ring"), ("servers", "N servers"), ("few_servers", "N / 8 servers")):
        bad = [row for row in rows if row[f"{name}_efficiency"] < PAYS]
        where = sorted({(row["gigabits"], row["num_layers"]) for row in bad})
        cases = "; ".join(f"{gigabits} Gbit/s, depth {depth}" for gigabits, depth in where)
        lines.append(f"{words}: less than {PAYS:.0%} of the speed is left with {cases or 'none of these'}")
    return lines
