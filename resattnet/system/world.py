"""The number of this process among the processes that train together."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError


@dataclass(frozen=True)
class World:
    """Rank of this process, and number of processes.

    Parameters
    ----------
    rank : int
        From 0 to `size` - 1.
    size : int
        At least 1. A process that trains alone is ``World(0, 1)``.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"`size={self.size}`: give a number of processes of at least 1")
        if not 0 <= self.rank < self.size:
            raise InputError(f"`rank={self.rank}`: give a number from 0 to {self.size - 1}, of {self.size} processes")


ALONE = World()
