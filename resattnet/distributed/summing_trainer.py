"""A Gluon trainer whose gradients an engine adds over the processes, in place of a KVStore: `SummingTrainer`."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from ..machine.mxnet import mx


class SummingTrainer(mx.gluon.Trainer):
    """A trainer that adds the gradients over the processes.

    The trainers of Horovod and BytePS divide the gradients by the number of processes, each in its own place, so that
    clipping would see other gradients than in one process; this one only adds.

    Parameters
    ----------
    parameters : list of gluon.Parameter
    optimizer : mx.optimizer.Optimizer
    add : callable
        ``add(gradients, number)`` replaces the gradients of a parameter on the devices, NDArrays, by their sum over
        all devices of all processes. It returns at once.
        The gradients of the first parameters are needed first: their number is the priority.
    """

    def __init__(self, parameters: Sequence[Any], optimizer: Any, add: Callable[[Sequence[Any], int], None]) -> None:
        super().__init__(list(parameters), optimizer, kvstore=None, update_on_kvstore=False)
        self._add = add

    def _allreduce_grads(self) -> None:
        for number, parameter in enumerate(self._params):
            if parameter.grad_req != "null":
                self._add(parameter.list_grad(), number)
