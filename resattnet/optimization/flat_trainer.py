"""Update all parameters by a few operators: `FlatTrainer`."""

from __future__ import annotations

import itertools
import math
from typing import Any, Dict, List, Sequence, Tuple

from ..machine.mxnet import mx

ALIGNMENT = 16  # numbers: each parameter begins at a multiple of 64 bytes, as an array of its own does


class Segment:
    """Parameters whose arrays are parts of one flat array, on each device.

    Parameters
    ----------
    parameters : list of gluon.Parameter
        Initialised, float32, with gradients. Their values are kept; their arrays are replaced.

    Attributes
    ----------
    parameters : list of gluon.Parameter
    weights, gradients : list of NDArray (length,)
        One of each device. Between the parameters are zeros.
    """

    def __init__(self, parameters: Sequence[Any]) -> None:
        self.parameters = list(parameters)
        sizes = [math.prod(parameter.shape) for parameter in self.parameters]
        *self._starts, length = itertools.accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=0)
        self._ends = [start + size for start, size in zip(self._starts, sizes)]
        devices = self.parameters[0].list_ctx()
        self.weights = [mx.nd.zeros(length, ctx=device) for device in devices]
        self.gradients = [mx.nd.zeros(length, ctx=device) for device in devices]
        weights, gradients = (
            list(zip(*(self.parts(flat) for flat in arrays))) for arrays in (self.weights, self.gradients)
        )
        for parameter, new_data, new_grad in zip(self.parameters, weights, gradients):
            for old, new in zip(parameter.list_data() + parameter.list_grad(), new_data + new_grad):
                old.copyto(new)
            # Gluon has no public way to give a parameter its arrays.
            parameter._data, parameter._grad = list(new_data), list(new_grad)
            mx.autograd.mark_variables(parameter._data, parameter._grad, parameter.grad_req)
        self._data = [parameter._data for parameter in self.parameters]

    def parts(self, flat: Any) -> List[Any]:
        """Return the part of each parameter of an array (length,): views with the shapes of the parameters."""
        return [
            flat[start:end].reshape(parameter.shape)
            for parameter, start, end in zip(self.parameters, self._starts, self._ends)
        ]

    def check(self) -> None:
        """Raise RuntimeError if a parameter has other arrays now, as after `cast` or `reset_ctx`."""
        for parameter, data in zip(self.parameters, self._data):
            if parameter._data is not data:
                raise RuntimeError(f"{parameter.name} was given new arrays after its trainer was made: make a new one")


class FlatTrainer(mx.gluon.Trainer):
    """A trainer whose parameters, gradients and optimizer states are parts of a few flat arrays.

    The parameters with the same multipliers of learning rate and weight decay are updated by one operator. The weights
    are those of `gluon.Trainer`, to the last bit: the optimizer computes each number by itself. The gradients of
    several devices are added array by array too.

    Parameters
    ----------
    parameters : list of gluon.Parameter
        As for `Segment`.
    optimizer : mx.optimizer.Optimizer
        Computes each number by itself, unlike LAMB, which takes the norm of each parameter.

    Attributes
    ----------
    segments : list of Segment
    """

    def __init__(self, parameters: Sequence[Any], optimizer: Any) -> None:
        super().__init__(list(parameters), optimizer, kvstore="device", update_on_kvstore=False)
        groups: Dict[Tuple[float, float], List[Any]] = {}
        for parameter in self._params:
            groups.setdefault((parameter.lr_mult, parameter.wd_mult), []).append(parameter)
        self.segments = [Segment(group) for group in groups.values()]
        self._numbers = [self._param2idx[segment.parameters[0].name] for segment in self.segments]
        self._flat_updaters = [mx.optimizer.get_updater(optimizer) for _ in self._contexts]

    def create_states(self) -> None:
        """Give the optimizer new states, zeros. `_updaters` has the part of each parameter, as in `gluon.Trainer`."""
        for place, (flat_updater, updater) in enumerate(zip(self._flat_updaters, self._updaters)):
            for number, segment in zip(self._numbers, self.segments):
                state = self._optimizer.create_state_multi_precision(number, segment.weights[place])
                flat_updater.states[number], flat_updater.states_synced[number] = state, True
                for parameter, part in zip(segment.parameters, _state_parts(segment, state)):
                    updater.states[self._param2idx[parameter.name]] = part

    def _init_params(self) -> None:
        if self._kvstore:
            for number, segment in zip(self._numbers, self.segments):
                self._kvstore.broadcast(number, segment.weights[0], segment.weights)
        self._params_to_init: List[Any] = []

    def _allreduce_grads(self) -> None:
        if self._kvstore:
            for number, segment in zip(self._numbers, self.segments):
                self._kvstore.pushpull(number, segment.gradients)

    def _update(self, ignore_stale_grad: bool = False) -> None:
        if not self._flat_updaters[0].states:
            self.create_states()
        for segment in self.segments:
            segment.check()
        for place, updater in enumerate(self._flat_updaters):
            for number, segment in zip(self._numbers, self.segments):
                # The number is that of the first parameter, which has the multipliers of all.
                updater(number, segment.gradients[place], segment.weights[place])


def _state_parts(segment: Segment, state: Any) -> List[Any]:
    """Return the part of each parameter of an optimizer's state: None, an array or a tuple of arrays."""
    if state is None:
        return [None] * len(segment.parameters)
    if isinstance(state, tuple):
        return list(zip(*(segment.parts(part) for part in state)))
    return segment.parts(state)


def gradient_arrays(trainer: Any) -> List[List[Any]]:
    """Return, for each device, the fewest arrays that hold all gradients of a trainer."""
    holders = trainer.segments if isinstance(trainer, FlatTrainer) else None
    lists = [segment.gradients for segment in holders] if holders else [p.list_grad() for p in trainer._params]
    return [list(arrays) for arrays in zip(*lists)]
