"""Join processes by MXNet's parameter servers, with gradients of two bits a number."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ..machine.mxnet import mx
from .exchange import Exchange
from .kvstore_group import KVStoreGroup
from .summing_trainer import SummingTrainer


class CompressedGroup(KVStoreGroup):
    """Workers that send gradients to the servers as -t, 0 or t, and keep the rest for the next step (`2bit`).

    What the servers send back is not compressed.

    Parameters
    ----------
    exchange : Exchange
        Its `threshold` is t.
    """

    _piece = 1 << 16  # each number is sent as 32 of this type

    def __init__(self, exchange: Exchange) -> None:
        self._threshold = np.float32(exchange.threshold)
        super().__init__(exchange)

    def _start(self) -> None:
        self._store.set_gradient_compression({"type": "2bit", "threshold": float(self._threshold)})
        self._store._barrier()

    def _sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of an array whose bits are sent as 0 or t, which the compression leaves as they are."""
        bits = np.zeros((self.world.size, 32 * len(array)), np.float32)
        bits[self._store.rank] = np.unpackbits(array.view(np.uint8)) * self._threshold
        values, key = mx.nd.array(bits.ravel()), self._key(bits.size)
        self._store.push(key, values)
        self._store.pull(key, values)
        received = values.asnumpy().reshape(bits.shape) > self._threshold / 2
        return np.packbits(received, axis=1).view(np.float32).sum(axis=0)

    def make_trainer(self, parameters: Sequence[Any], optimizer: Any) -> Any:
        """Return a trainer that adds compressed gradients on the servers and updates in each worker.

        MXNet's own trainer cannot: it sends and receives in one call, which has no compression.
        """

        def add(gradients: Sequence[Any], number: int) -> None:
            self._store.push(number, gradients, priority=-number)
            self._store.pull(number, gradients, priority=-number)

        return SummingTrainer(parameters, optimizer, add)

    def prepare(self, trainer: Any) -> None:
        """Give the servers the shapes of all gradients before any is sent."""
        for number, parameter in enumerate(trainer._params):
            self._store.init(number, mx.nd.zeros(parameter.shape, dtype=parameter.dtype))
        self._meet()
