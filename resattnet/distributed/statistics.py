"""Combine the running statistics of batch normalisation that each process has gathered."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np

from ..machine.devices import mean_over_devices, wait_for_running_statistics
from ..machine.mxnet import mx
from .group import SOLO, Group

RUNNING = ("running_mean", "running_var")  # ends of the names of running statistics


def gather_statistics(net: Any, group: Group = SOLO) -> Dict[str, List[np.ndarray]]:
    """Return the copies of each running statistic on all devices of all processes, by name, ordered by rank.

    Parameters
    ----------
    net : gluon.Block
        Its running statistics are float32.
    group : Group
    """
    wait_for_running_statistics()
    parameters = net._collect_params_with_prefix()
    own = {
        name: [data.asnumpy() for data in parameter.list_data()]
        for name, parameter in parameters.items()
        if parameter.grad_req == "null" and name.endswith(RUNNING)
    }
    if group.world.size == 1 or not own:
        return own
    packed = group.gather(np.concatenate([copy.ravel() for copies in own.values() for copy in copies]))
    gathered: Dict[str, List[np.ndarray]] = {}
    for rank in range(group.world.size):
        place = 0
        for name, copies in own.items():
            for copy in copies:
                part = packed[rank, place : place + copy.size]
                gathered.setdefault(name, []).append(part.reshape(copy.shape).astype(copy.dtype))
                place += copy.size
    return gathered


def average_statistics(net: Any, group: Group = SOLO) -> None:
    """Replace running statistics by their mean over all devices of all processes.

    Each device gathers the statistics of its own part of the batches, but a network must be the same everywhere when it
    is evaluated and saved. Statistics that are equal everywhere, as those of frozen layers, stay.
    """
    parameters = net._collect_params_with_prefix()
    for name, copies in gather_statistics(net, group).items():
        mean = mean_over_devices(copies)
        if len(copies) > 1 and any((copy != copies[0]).any() for copy in copies[1:]):
            parameters[name].set_data(mx.nd.array(mean, dtype=mean.dtype))
