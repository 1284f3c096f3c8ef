"""Refuse to train in processes that were not started alike: `check_same`."""

from __future__ import annotations

import json
from typing import Any, List, Mapping

from ..system.errors import InputError, list_some
from .group import Group

_SHOWN = 60  # characters of a value in a message


def check_same(group: Group, facts: Mapping[str, Any]) -> None:
    """Compare facts between the processes of a run, before its first step.

    Parameters
    ----------
    group : Group
    facts : mapping
        What must be the same everywhere, by name, of JSON types.

    Raises
    ------
    InputError
        On all ranks with the same message, if the facts of a rank differ from those of rank 0.
    """
    own = json.loads(json.dumps(facts))
    differences = _differences(group.broadcast_object(own), own)
    odd = [int(rank) for rank in group.gather([float(bool(differences))])[:, 0].nonzero()[0]]
    if odd:
        ranks = f"rank {odd[0]}" if len(odd) == 1 else f"ranks {list_some([str(rank) for rank in odd])}"
        found = group.broadcast_object(differences, root=odd[0])
        raise InputError(
            f"{ranks} of {group.world.size} would not train the run of rank 0: {list_some(found)}; start all ranks "
            "with the same command, data and version"
        )


def _differences(first: Mapping[str, Any], own: Mapping[str, Any]) -> List[str]:
    """Return how the facts of this process differ from those of rank 0, for a message."""
    return [
        f"{name} is {_shown(own.get(name))} in place of {_shown(first.get(name))}"
        for name in sorted({*first, *own})
        if first.get(name) != own.get(name)
    ]


def _shown(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
