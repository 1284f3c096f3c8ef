"""Join processes by Horovod."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ..machine.mxnet import mx
from ..system.errors import InputError, reason
from ..system.world import World
from .exchange import Exchange
from .group import Group
from .summing_trainer import SummingTrainer


def import_horovod() -> Any:
    """Return the module `horovod.mxnet`, or raise `InputError` with the way to install it."""
    try:
        import horovod.mxnet
    except ImportError as error:
        raise InputError(
            f"`kvstore=horovod`: Horovod with MXNet cannot be imported ({reason(error)}): HOROVOD_WITH_MXNET=1 "
            "HOROVOD_WITH_GLOO=1 python -m pip install --no-build-isolation horovod==0.28.1"
        ) from error
    return horovod.mxnet


class HorovodGroup(Group):
    """Processes that `horovodrun` has started, each on one device. A process started by itself is alone.

    Parameters
    ----------
    exchange : Exchange
        Its `compression` 'fp16' sends gradients as float16, in which Horovod adds them too.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._engine = import_horovod()
        self._compression = getattr(self._engine.Compression, exchange.compression)
        self._engine.init()
        super().__init__(World(self._engine.rank(), self._engine.size()), self._engine.local_rank())

    def _sum(self, array: np.ndarray) -> np.ndarray:
        values = mx.nd.array(array)
        self._engine.allreduce_(values, average=False, name=f"sum.{len(array)}")
        return values.asnumpy()

    def make_trainer(self, parameters: Sequence[Any], optimizer: Any) -> Any:
        """Return a trainer that adds gradients by Horovod."""

        def add(gradients: Sequence[Any], number: int) -> None:
            if self.world.size > 1:
                (gradient,) = gradients
                sent, kind = self._compression.compress(gradient)
                self._engine.allreduce_(sent, average=False, name=f"gradient.{number}", priority=-number)
                if sent is not gradient:
                    gradient[:] = self._compression.decompress(sent, kind)

        return SummingTrainer(parameters, optimizer, add)

    def close(self, failed: bool = False) -> None:
        """Leave the group; Horovod ends the exchanges of the others with an error."""
        if not failed:
            mx.nd.waitall()
        self._engine.shutdown()
