"""The processes that train one run together, as one of them sees them: `Group`."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional, Sequence

import numpy as np

from ..machine.mxnet import mx
from ..system.errors import InputError
from ..system.world import ALONE, World

_SMALLEST = 16
_WORDS = 4  # a float64 is sent as four whole numbers of 16 bits, which float32 holds exactly


class Group:
    """The processes that train one run together. This class is the group of a process that trains alone.

    An engine is a subclass with a `_sum` over the processes and a trainer. All else is made of that sum: what one
    process has is added to zeros of the others, so each number arrives exactly, in whatever order the engine adds.

    All processes call the methods in the same order, with arrays of the same sizes.

    Parameters
    ----------
    world : World
    local_rank : int
        Number of this process among those on its machine.

    Attributes
    ----------
    world : World
    local_rank : int
    steps_apart : int
        Steps from one agreement of the processes on what to do next to another; see `wishes`.
    """

    steps_apart = 1
    _piece = 1 << 20  # numbers of one exchange: larger arrays are sent in pieces

    def __init__(self, world: World = ALONE, local_rank: int = 0) -> None:
        self.world, self.local_rank = world, local_rank

    @property
    def is_first(self) -> bool:
        """Whether this process has rank 0, which writes the files of the run."""
        return self.world.rank == 0

    # What an engine has its own way of

    def _sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over the processes of a float32 array of one dimension, whose length is a power of two."""
        return array

    def make_trainer(self, parameters: Sequence[Any], optimizer: Any) -> Any:
        """Return a gluon.Trainer that adds the gradients of all devices and processes before it updates.

        Parameters
        ----------
        parameters : list of gluon.Parameter
        optimizer : mx.optimizer.Optimizer
        """
        kvstore = "device" if len(parameters[0].list_ctx()) > 1 else None
        return mx.gluon.Trainer(parameters, optimizer, kvstore=kvstore, update_on_kvstore=False)

    def prepare(self, trainer: Any) -> None:
        """Make a trainer ready for its first step, once its network has its values and before any process trains."""

    def settle(self, trainer: Any) -> None:
        """Give all processes the same parameters, before they are evaluated or saved: those with all updates."""

    def close(self, failed: bool = False) -> None:
        """Leave the group. After a failure, do not wait for the other processes."""

    # What all engines share

    def sum(self, array: Any) -> np.ndarray:
        """Return the sum over the processes of a float32 array of any shape."""
        flat = np.asarray(array, np.float32).ravel()
        if self.world.size == 1:
            return flat.reshape(np.shape(array))
        pieces = [flat[start : start + self._piece] for start in range(0, len(flat), self._piece)]
        return np.concatenate([self._sum_padded(piece) for piece in pieces] or [flat]).reshape(np.shape(array))

    def _sum_padded(self, piece: np.ndarray) -> np.ndarray:
        """Return the sum of an array of any length: engines keep a buffer for each length, so there are few lengths."""
        length = max(_SMALLEST, 1 << (len(piece) - 1).bit_length())
        padded = np.zeros(length, np.float32)
        padded[: len(piece)] = piece
        return self._sum(padded)[: len(piece)]

    def gather(self, array: Any) -> np.ndarray:
        """Return the float32 arrays of all processes, (size, *shape), by rank."""
        own = np.asarray(array, np.float32)
        placed = np.zeros((self.world.size, *own.shape), np.float32)
        placed[self.world.rank] = own
        return self.sum(placed)

    def total(self, numbers: Sequence[float]) -> np.ndarray:
        """Return the sums over the processes of a few numbers in float64, which are added by rank."""
        words = np.array(numbers, "<f8").view("<u2").astype(np.float32)
        everywhere = self.gather(words).astype("<u2").view("<f8").reshape(self.world.size, len(numbers))
        return sum(everywhere[1:], everywhere[0].copy())

    def broadcast(self, array: Any, root: int = 0) -> np.ndarray:
        """Return the float32 array of the process `root`; the others give one of its shape."""
        own = np.asarray(array, np.float32)
        return self.sum(own if self.world.rank == root else np.zeros_like(own))

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """Return the value of the process `root`, of JSON types."""
        if self.world.size == 1:
            return value
        own = np.frombuffer(json.dumps(value).encode(), np.uint8) if self.world.rank == root else np.zeros(0, np.uint8)
        length = int(self.total([len(own)])[0])
        placed = np.zeros(length, np.float32)
        placed[: len(own)] = own
        return json.loads(self.sum(placed).astype(np.uint8).tobytes())

    def on_first(self, action: Callable[[], Any]) -> Any:
        """Call a function on rank 0 only, and return its result, of JSON types, everywhere.

        Raises
        ------
        InputError
            On all ranks, if the function raises it.
        """
        if self.world.size == 1:
            return action()
        found: Any = None
        problem: Optional[str] = None
        if self.is_first:
            try:
                found = action()
            except InputError as error:
                problem = f"{error}"
        found, problem = self.broadcast_object([found, problem])
        if problem is not None:
            raise InputError(problem)
        return found

    def broadcast_network(self, net: Any) -> None:
        """Give the network of each process the parameters and running statistics of rank 0."""
        if self.world.size == 1:
            return
        for parameter in net.collect_params().values():
            mine = parameter.list_data()[0].asnumpy()
            first = self.broadcast(mine)
            parameter.set_data(mx.nd.array(first.astype(mine.dtype), dtype=mine.dtype))

    def barrier(self) -> None:
        """Return once all processes have called this."""
        self.sum(np.zeros(1))

    def __enter__(self) -> Group:
        return self

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        self.close(failed=kind is not None)


SOLO = Group()
