"""Join processes by MXNet's parameter servers without waiting for one another: `dist_async`."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ..machine.mxnet import mx
from .kvstore_group import KVStoreGroup


class AsyncTrainer(mx.gluon.Trainer):
    """A trainer on one device that sends its updates to the servers and takes over those of the other processes.

    A process computes the update of its own batch as if all processes had its gradient, and the servers add 1/N of this
    update to the parameters. N updates that are computed from the same parameters have the sum of one synchronous
    update, so a learning rate means the same. Schedule, weight decay, momentum, clipping and saved states are those of
    any trainer: MXNet's own asynchronous updates, which an optimizer on the servers makes, have none of these.

    Parameters
    ----------
    parameters : list of gluon.Parameter
    optimizer : mx.optimizer.Optimizer
    store : mx.kvstore.KVStore
        Asynchronous. Its servers subtract what they receive from the parameters; see `AsyncGroup`.
    processes : int
        The number N.
    """

    def __init__(self, parameters: Sequence[Any], optimizer: Any, store: Any, processes: int) -> None:
        super().__init__(list(parameters), optimizer, kvstore=None, update_on_kvstore=False)
        self._store, self._processes = store, processes

    def send_parameters(self) -> None:
        """Give the servers the parameters of rank 0; return once they have them."""
        for key, parameter in enumerate(self._params):
            self._store.init(key, parameter.list_data()[0])  # waits for all workers

    def fetch_parameters(self) -> None:
        """Replace the parameters by those of the servers, before what is computed from them next."""
        for key, parameter in enumerate(self._params):
            self._store.pull(key, parameter.list_data()[0], priority=-key)

    def _allreduce_grads(self) -> None:
        for parameter in self._params:
            gradient = parameter.list_grad()[0]
            gradient *= self._processes

    def _update(self, ignore_stale_grad: bool = False) -> None:
        before = [parameter.list_data()[0].copy() for parameter in self._params]
        super()._update(ignore_stale_grad)
        for key, (parameter, old) in enumerate(zip(self._params, before)):
            self._store.push(key, (old - parameter.list_data()[0]) / self._processes, priority=-key)
        self.fetch_parameters()


class AsyncGroup(KVStoreGroup):
    """Workers of parameter servers that update without waiting for one another. Each has one device.

    Parameters
    ----------
    exchange : Exchange
    """

    steps_apart = 16

    def _start(self) -> None:
        # The servers make a step of gradient descent with the rate 1 from all that they receive.
        if self._store.rank == 0:
            self._store.set_optimizer(mx.optimizer.SGD(learning_rate=1.0, wd=0.0, rescale_grad=1.0))
        self._store._barrier()

    def _sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of an array: each process writes its own part of a larger one, which all read.

        The servers add without waiting for all. A part is zero before and after a sum, so it holds each number exactly.
        """
        own = np.zeros((self.world.size, len(array)), np.float32)
        own[self._store.rank] = array
        values, found = mx.nd.array(own.ravel()), mx.nd.zeros(own.size)
        key = self._key(own.size)
        self._store.push(key, -values)
        self._store.pull(key, found)
        found.wait_to_read()  # the servers have this part, after
        self._store._barrier()  # those of all processes
        self._store.pull(key, found)
        parts = found.asnumpy().reshape(own.shape)
        self._store._barrier()
        self._store.push(key, values)
        self._store.pull(key, found)
        found.wait_to_read()  # the part is zero again before the next sum, which a late push would spoil
        return parts.sum(axis=0)

    def make_trainer(self, parameters: Sequence[Any], optimizer: Any) -> Any:
        """Return a trainer that updates by its own gradients and those of the processes that are ready."""
        return AsyncTrainer(parameters, optimizer, self._store, self.world.size)

    def prepare(self, trainer: Any) -> None:
        """Send the parameters to the servers before any update is sent."""
        trainer.send_parameters()
        self._meet()

    def settle(self, trainer: Any) -> None:
        """Give all processes the parameters with the updates of all."""
        self._meet()
        trainer.fetch_parameters()
        self._meet()
