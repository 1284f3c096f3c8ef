"""Memory that a worker process and its parent share, for batches that would be slow to send through a pipe."""

from __future__ import annotations

import mmap
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

ALIGNMENT = 64  # bytes: a line of the cache


class _Place(NamedTuple):
    """An array in a slot."""

    dtype: str
    shape: Tuple[int, ...]
    offset: int


class _Answer(NamedTuple):
    """What a slot was reserved for: a tuple, with a `_Place` for each array in the slot, or any other value."""

    slot: int
    value: Any


class SharedSlots:
    """Slots of shared memory, each for the arrays of a batch.

    The memory is anonymous: a forked process inherits it, and nothing of it is left however the processes end. Pages
    that nobody writes to take no memory.

    Parameters
    ----------
    count : int
        Number of slots.
    size : int
        Bytes of a slot. 0: there are none.
    """

    def __init__(self, count: int, size: int) -> None:
        pages = -(-(size + ALIGNMENT * 8) // mmap.PAGESIZE) if size else 0
        self._size = pages * mmap.PAGESIZE
        try:
            self._memory: Optional[mmap.mmap] = mmap.mmap(-1, count * self._size) if size else None
        except (OSError, ValueError, OverflowError):  # no such amount of memory: the pipe remains
            self._memory = None
        self._free: List[int] = list(range(count)) if self._memory is not None else []

    def reserve(self) -> Optional[int]:
        """Return a free slot; None if there is none."""
        return self._free.pop() if self._free else None

    def put(self, slot: Optional[int], value: Any) -> Any:
        """Store the arrays of a tuple in a slot, those that fit; return what `take` needs in the other process."""
        if slot is None or type(value) is not tuple:
            return value if slot is None else _Answer(slot, value)
        placed, offset = [], slot * self._size
        for item in value:
            end = offset + getattr(item, "nbytes", 0)
            if isinstance(item, np.ndarray) and not item.dtype.hasobject and end <= (slot + 1) * self._size:
                place = _Place(item.dtype.str, item.shape, offset)
                self._view(place)[...] = item
                item, offset = place, -(-end // ALIGNMENT) * ALIGNMENT
            placed.append(item)
        return _Answer(slot, tuple(placed))

    def take(self, answer: Any) -> Any:
        """Return the value that `put` was given, with arrays of their own, and free its slot."""
        if not isinstance(answer, _Answer):
            return answer
        value = answer.value
        if type(value) is tuple:
            value = tuple(self._view(item).copy() if isinstance(item, _Place) else item for item in value)
        self._free.append(answer.slot)
        return value

    def _view(self, place: _Place) -> np.ndarray:
        assert self._memory is not None
        return np.ndarray(place.shape, place.dtype, self._memory, place.offset)
