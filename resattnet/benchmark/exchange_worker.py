"""Measure training steps in one of several processes: `python -m resattnet.benchmark.exchange_worker FILE OPTIONS`.

Rank 0 writes the seconds of a step and of its parts to FILE, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Callable, Dict, List

import numpy as np

from ..distributed.engines import open_group
from ..distributed.environment import local_size
from ..distributed.exchange import Exchange
from ..distributed.group import Group
from ..machine.cores import split_cores

WARM_UP = 2


def measure(group: Group, values: Dict[str, Any]) -> Dict[str, Any]:
    """Return the median seconds of a step and of its parts, and the bytes of the gradients.

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
    parts = split_batch(images, labels, step.devices)
    step.compute_gradients(parts)
    group.prepare(step.trainer)

    def compute() -> None:
        step.compute_gradients(parts)

    def exchange() -> None:
        step.trainer.allreduce_grads()

    def whole() -> None:
        step(images, labels, len(images) * group.world.size)

    seconds = {}
    actions: List[Callable[[], None]] = [compute, exchange, whole]
    for action in actions:
        times = []
        for _ in range(WARM_UP + options.steps * options.repeats):
            group.barrier()
            begun = time.perf_counter()
            action()
            mx.nd.waitall()
            times.append(time.perf_counter() - begun)
        seconds[action.__name__] = float(np.median(times[WARM_UP:]))
    gradients = sum(parameter.list_grad()[0].size for parameter in step.trainer._params)
    return {"processes": group.world.size, "gradient_bytes": 4 * gradients, **seconds}


if __name__ == "__main__":
    split_cores(1, local_size(os.environ))
    with open_group(Exchange("dist_sync")) as own_group:
        found = measure(own_group, json.loads(sys.argv[2]))
        if own_group.is_first:
            with open(sys.argv[1], "w") as stream:
                json.dump(found, stream)
