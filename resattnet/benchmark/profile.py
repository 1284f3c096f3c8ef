"""Profile a training step: the time of each operator."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any, Iterator, List, Mapping, NamedTuple

from ..machine.mxnet import mx
from .builders import make_training_step, random_batch, repeated
from .options import BenchmarkOptions


class OperatorTime(NamedTuple):
    """Time of an operator: its fraction of the total time, and its milliseconds and calls in one training step."""

    name: str
    fraction: float
    milliseconds: float
    calls: float


def operator_times(totals: Mapping[str, Mapping[str, float]], steps: int) -> List[OperatorTime]:
    """Return the rows of a profile, the longest time first.

    Parameters
    ----------
    totals : mapping of str to mapping
        From MXNet's profiler: for each operator 'Total' in milliseconds and 'Count'.
    steps : int
        Number of profiled steps.

    Returns
    -------
    list of OperatorTime
    """
    total = sum(row["Total"] for row in totals.values())
    rows = [
        OperatorTime(name, row["Total"] / total, row["Total"] / steps, row["Count"] / steps)
        for name, row in totals.items()
    ]
    return sorted(rows, key=lambda row: -row.fraction)


def profile(options: BenchmarkOptions) -> List[OperatorTime]:
    """Measure the time of each operator in a training step."""
    step, (images, labels) = make_training_step(options), random_batch(options)
    step(images, labels)  # a training graph is made when it is first used
    graph: Any = getattr(step.graph, "block", step.graph)
    # By default the engine runs operators in bulks, and the profiler sees only the bulks.
    graph.hybridize(static_alloc=True, static_shape=True, forward_bulk_size=0, backward_bulk_size=0)
    repeat = repeated(lambda: step(images, labels), options)
    repeat()
    with recording(aggregate_stats=True):
        repeat()
        mx.profiler.set_state("stop")
        totals = json.loads(mx.profiler.dumps(reset=True, format="json"))["Time"]["operator"]
    return operator_times(totals, options.steps)


@contextlib.contextmanager
def recording(**settings: Any) -> Iterator[str]:
    """Let MXNet's profiler record what is computed; yield the path of the file that it writes, which lives as long.

    The profiler has to be stopped before what it has recorded is read. `settings` are more of its settings.
    """
    # The profiler removes its file before it writes: os.devnull would be lost for the whole system.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "profile.json")
        mx.profiler.set_config(profile_symbolic=True, profile_imperative=True, filename=path, **settings)
        mx.profiler.set_state("run")
        yield path
