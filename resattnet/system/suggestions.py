"""Suggest existing names that are similar to one that does not exist."""

from __future__ import annotations

import difflib
from typing import Iterable, List, Mapping, Optional


def nearest_names(name: str, choices: Iterable[str], count: int = 3, cutoff: float = 0.4) -> List[str]:
    """Return the names most similar to `name`, the most similar first.

    Parameters
    ----------
    name : str
        The name that was not found.
    choices : iterable of str
        The names that exist.
    count : int
        Largest number of names to return.
    cutoff : float
        Least similarity, from 0 (anything) to 1 (equal), as `difflib.get_close_matches` defines it.
    """
    return difflib.get_close_matches(name, list(dict.fromkeys(choices)), count, cutoff)


def suggest(
    name: str,
    choices: Iterable[str],
    count: int = 3,
    cutoff: float = 0.4,
    shown: Optional[Mapping[str, str]] = None,
) -> str:
    """Return the end of an error message that suggests similar names: "did you mean a, b or c?".

    Parameters
    ----------
    name, choices, count, cutoff
        See `nearest_names`.
    shown : mapping of str to str, optional
        Text to show for each choice, such as its path. Default: the choice itself.

    Returns
    -------
    str
        Empty where no choice is similar enough, so that ``suggest(...) or "choose from ..."`` works.
    """
    names = nearest_names(name, choices, count, cutoff)
    if not names:
        return ""
    *others, last = [shown[choice] if shown else choice for choice in names]
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
