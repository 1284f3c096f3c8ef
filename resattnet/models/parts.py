"""Freeze parts of a network for fine-tuning. Nothing here imports MXNet."""

from __future__ import annotations

import math
from typing import Any, List, Sequence, Tuple

FEATURES = "features"  # stands for all parts: everything but the last layer
PARTS = ("stem", "stage1", "stage2", "stage3", "tail")  # in the order of the network


def expand_parts(names: Sequence[str]) -> Tuple[str, ...]:
    """Return the parts that names stand for, each once and in the order of the network.

    Parameters
    ----------
    names : sequence of str
        Parts of `PARTS`, and `FEATURES`. Other names come last, for a check to find them.
    """
    wanted = set(PARTS if FEATURES in names else ()).union(names) - {FEATURES}
    return tuple(part for part in PARTS if part in wanted) + tuple(sorted(wanted.difference(PARTS)))


def part_layers(net: Any, part: str) -> List[Any]:
    """Return the layers of a part of `net.features`.

    Parameters
    ----------
    net : AttentionNet
    part : str
        One of `PARTS`.
    """
    ends = [0, *net.part_ends]
    number = PARTS.index(part)
    return list(net.features)[ends[number] : ends[number + 1]]


def freeze(net: Any, parts: Sequence[str]) -> str:
    """Exclude parts of a network from training: their parameters and their running statistics keep their values.

    The parameters have no gradients any more, and batch normalisation uses its running statistics in training too.

    Parameters
    ----------
    net : AttentionNet
        Initialised, and not called yet: the graph of an earlier call would not be changed.
    parts : sequence of str
        Some of `PARTS`.

    Returns
    -------
    str
        What was done, for the log.
    """
    before = _trained(net)
    for part in parts:
        for layer in part_layers(net, part):
            layer.collect_params().setattr("grad_req", "null")
            layer.apply(_use_running_statistics)
    return f"frozen: {', '.join(parts)}; {_trained(net):,} of {before:,} parameters are trained"


def _trained(net: Any) -> int:
    """Return the number of numbers that a network learns."""
    learned = (parameter for parameter in net.collect_params().values() if parameter.grad_req != "null")
    return sum(math.prod(parameter.shape) for parameter in learned)


def _use_running_statistics(block: Any) -> None:
    settings = getattr(block, "_kwargs", {})  # the parameters of the operator of a Gluon layer
    if "use_global_stats" in settings:
        settings["use_global_stats"] = True
