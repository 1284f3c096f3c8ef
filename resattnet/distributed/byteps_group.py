"""Join processes by BytePS, which needs CUDA."""

from __future__ import annotations

from typing import Any, Sequence, Set

import numpy as np

from ..machine.mxnet import mx
from ..system.errors import InputError, reason
from ..system.world import World
from .exchange import Exchange
from .group import Group
from .summing_trainer import SummingTrainer


def import_byteps() -> Any:
    """Return the module `byteps.mxnet`, or raise `InputError` with the way to install it."""
    try:
        import byteps.mxnet
    except (ImportError, OSError) as error:  # OSError: its library finds no CUDA
        raise InputError(
            f"`kvstore=byteps`: BytePS with MXNet cannot be imported ({reason(error)}); it needs CUDA: "
            "BYTEPS_WITHOUT_PYTORCH=1 BYTEPS_WITHOUT_TENSORFLOW=1 python -m pip install byteps==0.2.5.post15"
        ) from error
    return byteps.mxnet


class BytePSGroup(Group):
    """Processes that `bpslaunch` has started, each on one GPU."""

    def __init__(self, _exchange: Exchange) -> None:
        self._engine = import_byteps()
        self._engine.init()
        super().__init__(World(self._engine.rank(), self._engine.size()), self._engine.local_rank())
        self._declared: Set[str] = set()

    def _add(self, array: Any, name: str, priority: int = 0) -> None:
        if name not in self._declared:
            self._engine.byteps_declare_tensor(name)
            self._declared.add(name)
        self._engine.byteps_push_pull(array, version=0, priority=priority, name=name, is_average=False)

    def _sum(self, array: np.ndarray) -> np.ndarray:
        values = mx.nd.array(array)
        self._add(values, f"sum_{len(array)}")
        return values.asnumpy()

    def make_trainer(self, parameters: Sequence[Any], optimizer: Any) -> Any:
        """Return a trainer that adds gradients by BytePS."""
        return SummingTrainer(
            parameters, optimizer, lambda gradients, number: self._add(gradients[0], f"gradient_{number}", -number)
        )

    def prepare(self, trainer: Any) -> None:
        """Declare the gradients in one order everywhere: BytePS numbers tensors as they are declared."""
        for number in range(len(trainer._params)):
            self._engine.byteps_declare_tensor(f"gradient_{number}")
            self._declared.add(f"gradient_{number}")
        self.barrier()

    def close(self, failed: bool = False) -> None:
        """Leave the group."""
        if not failed:
            mx.nd.waitall()
        self._engine.shutdown()
