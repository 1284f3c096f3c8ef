"""Measure training steps in one of several processes: `python -m resattnet.benchmark.exchange_worker FILE OPTIONS`.

Rank 0 writes the seconds of a step and of its parts to FILE, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Sequence
from unittest.mock import patch

import numpy as np

from ..distributed.engines import open_group
from ..distributed.environment import local_size
from ..distributed.exchange import Exchange
from ..machine.cores import split_cores

if TYPE_CHECKING:  # the cores are divided before MXNet is imported
    from ..distributed.group import Group

WARM_UP = 2


def measure(group: Group, values: Dict[str, Any]) -> Dict[str, Any]:
    """Return the median seconds of a step, of one without exchange (`alone`) and of an exchange without a step.

    Beside them stand the bytes of the gradients, and `sent_early`.

    Parameters
    ----------
    group : Group
    values : dict
        The values of `BenchmarkOptions` that are not the default.
    """
    from ..machine.devices import split_batch
    from ..machine.mxnet import mx
    from .builders import make_training_step, random_batch
    from .options import BenchmarkOptions

    options = BenchmarkOptions(**values)
    step = make_training_step(options, group=group)
    images, labels = random_batch(options)
    step.compute_gradients(split_batch(images, labels, step.devices))
    group.prepare(step.trainer)

    def whole() -> None:
        step(images, labels, len(images) * group.world.size)
        mx.nd.waitall()

    def alone() -> None:
        with patch.object(step.trainer, "_allreduce_grads", lambda: None):
            whole()

    def exchange() -> None:
        step.trainer.allreduce_grads()
        mx.nd.waitall()

    seconds = {}
    actions: List[Callable[[], None]] = [alone, exchange, whole]
    for action in actions:
        times = []
        for _ in range(WARM_UP + options.steps * options.repeats):
            group.barrier()
            begun = time.perf_counter()
            action()
            times.append(time.perf_counter() - begun)
        seconds[action.__name__] = float(np.median(times[WARM_UP:]))
    group.barrier()
    gradients = sum(parameter.list_grad()[0].size for parameter in step.trainer._params)
    return {
        "processes": group.world.size,
        "gradient_bytes": 4 * gradients,
        **seconds,
        "sent_early": sent_early(engine_events(whole)),
    }


def engine_events(action: Callable[[], None]) -> List[Dict[str, Any]]:
    """Return the events of MXNet's engine while `action` is called, as its profiler writes them."""
    from ..machine.mxnet import mx
    from .profile import recording

    with recording() as path:
        action()
        mx.profiler.set_state("stop")
        mx.profiler.dump()
        with open(path) as stream:
            events: List[Dict[str, Any]] = json.load(stream)["traceEvents"]
    return [event for event in events if event.get("cat") == "operator"]


def sent_early(events: Sequence[Mapping[str, Any]]) -> float:
    """Return the part of the gradients whose exchange begins before the backward pass ends.

    Parameters
    ----------
    events : sequence of mapping
        `name`, `ph` ('B': begin, 'E': end) and `ts`, the time, of the operators of one step.
    """
    sent = [event["ts"] for event in events if event["ph"] == "B" and event["name"].startswith("KVStoreDist")]
    end = max(event["ts"] for event in events if event["ph"] == "E" and "_backward_" in event["name"])
    return sum(moment < end for moment in sent) / len(sent)


if __name__ == "__main__":
    split_cores(1, local_size(os.environ))
    with open_group(Exchange("dist_sync")) as own_group:
        found = measure(own_group, json.loads(sys.argv[2]))
        if own_group.is_first:
            with open(sys.argv[1], "w") as stream:
                json.dump(found, stream)
