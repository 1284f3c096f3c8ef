"""Join processes by MXNet's KVStore and its parameter servers: `dist_sync` and `dist_device_sync`."""

from __future__ import annotations

import os
from typing import Any, Dict, Sequence

import numpy as np

from ..machine.mxnet import mx
from ..options.fields import assignment
from ..system.errors import InputError
from ..system.leaving import leave_at_once
from ..system.world import World
from .environment import launched_rank, local_rank
from .exchange import Exchange
from .group import Group

# Keys of the small sums; those of a trainer count its parameters from 0. MXNet chooses a server by 9973 * key in 32
# bits: keys from 215,324 on overflow, and it then sends to memory that is no server.
_FIRST_KEY = 100_000


class KVStoreGroup(Group):
    """Workers of MXNet's parameter servers.

    A rank is that which the launcher gave; MXNet numbers the workers anew at each start, by their ports.

    Parameters
    ----------
    exchange : Exchange
        Its `kvstore` is the name of the store in MXNet.
    """

    def __init__(self, exchange: Exchange) -> None:
        if os.environ.get("DMLC_ROLE") != "worker":
            raise InputError(
                f"{assignment('kvstore', exchange.kvstore)}: no launcher has started this process: put the "
                "command launch in front, as in launch -n 2 train, or give `kvstore=none`"
            )
        self._store = mx.kv.create(exchange.kvstore)
        rank = launched_rank(os.environ)
        super().__init__(
            World(self._store.rank if rank is None else rank, self._store.num_workers), local_rank(os.environ)
        )
        self._keys: Dict[int, int] = {}  # by length
        self._start()
        self._check_ranks()

    def _start(self) -> None:
        """Set up the servers, before anything is sent to them."""

    def _check_ranks(self) -> None:
        claims = self.sum(np.arange(self.world.size) == self.world.rank)
        if (claims != 1).any():
            raise InputError(
                f"`kvstore`: the launcher gave rank {int(claims.argmax())} to {int(claims.max())} processes: each "
                "needs its own DMLC_WORKER_ID"
            )

    def _key(self, length: int) -> int:
        """Return the key of the sums of arrays of a length, which the servers have as zeros at first."""
        if length not in self._keys:
            self._keys[length] = _FIRST_KEY + len(self._keys)
            self._store.init(self._keys[length], mx.nd.zeros(length))  # waits for all workers
        return self._keys[length]

    def _sum(self, array: np.ndarray) -> np.ndarray:
        values = mx.nd.array(array)
        self._store.pushpull(self._key(len(array)), values, out=values)
        return values.asnumpy()

    def make_trainer(self, parameters: Sequence[Any], optimizer: Any) -> Any:
        """Return a trainer that adds gradients on the servers and updates in each worker.

        Updates on the servers would ignore the learning rate schedule, clipping and the state that a run saves.
        """
        return mx.gluon.Trainer(parameters, optimizer, kvstore=self._store, update_on_kvstore=False)

    def prepare(self, trainer: Any) -> None:
        """Send the parameters to the servers before any gradient is sent.

        A trainer does both in its first step, where the gradient of a fast worker can overtake the parameters that a
        slow one still has to receive: that worker then trains on gradients in place of parameters, without an error.
        """
        trainer._init_kvstore()
        trainer._init_params()
        assert not trainer._params_to_init, "a network whose shapes are not known yet would be sent in the first step"
        self._meet()

    def _meet(self) -> None:
        """Return once all workers have done what they have begun."""
        mx.nd.waitall()
        self._store._barrier()

    def close(self, failed: bool = False) -> None:
        """Leave the servers, which end once all workers have left.

        After a failure, MXNet would wait here for exchanges that the other workers do not take part in.
        """
        if failed:
            leave_at_once()
        else:
            mx.nd.waitall()
            mx.base.check_call(mx.base._LIB.MXKVStoreFree(self._store.handle))
        self._store.handle = None  # so that MXNet does not free it again
