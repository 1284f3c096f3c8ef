"""Average the parameters of a training run exponentially: `MovingAverage`."""

from __future__ import annotations

import itertools
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from ..machine.mxnet import mx
from .flat_trainer import Segment


class MovingAverage:
    """Exponential moving average of a network's trained parameters: float32, on the first of their devices.

    The average begins with the parameters' values. The running statistics of batch normalisation are not averaged:
    MXNet writes them without telling its engine, so reading them would mean waiting for the device at each step (see
    `devices.wait_for_running_statistics`). Their average would not be the statistics of the averaged network either.
    The averaged network uses the statistics of the last step, which become right as the learning rate goes to zero.

    Parameters
    ----------
    net : gluon.Block
        Initialised.
    decay : float
        Fraction of the average that is kept at each step; between 0 and 1.
    segments : sequence of Segment
        Those of the network's trainer, if it has any: their parameters are averaged together.
    """

    def __init__(self, net: Any, decay: float, segments: Sequence[Segment] = ()) -> None:
        self._decay = decay
        self._parameters = {
            name: parameter
            for name, parameter in net._collect_params_with_prefix().items()
            if parameter.grad_req != "null"
        }
        self._flat = [(segment.weights[0].copy(), segment.weights[0]) for segment in segments]
        parts = {
            parameter.name: part
            for segment, (mean, _) in zip(segments, self._flat)
            for parameter, part in zip(segment.parameters, segment.parts(mean))
        }
        self._single = [name for name, parameter in self._parameters.items() if parameter.name not in parts]
        self._means = {
            name: parts[parameter.name] if parameter.name in parts else self._value(parameter).copy()
            for name, parameter in self._parameters.items()
        }

    @staticmethod
    def _value(parameter: Any) -> Any:
        return parameter.list_data()[0].astype("float32", copy=False)

    def weight(self, step: int) -> float:
        """Return the weight of the new parameters in the average at a step, counted from 1.

        The weight is the larger of 1 - decay and 9 / (step + 10), so that the first parameters are soon forgotten.
        """
        return max(1 - self._decay, 9 / (step + 10))

    def update(self, step: int) -> None:
        """Move the average towards the parameters after a step, counted from 1; do not wait for the device."""
        weight = self.weight(step)
        single = ((self._means[name], self._value(self._parameters[name])) for name in self._single)
        for mean, value in itertools.chain(self._flat, single):
            # mean (1 - weight) + weight value in one pass: plain SGD computes weight (1 - lr wd) - lr gradient.
            mx.nd.sgd_update(mean, value, lr=-weight, wd=-1, out=mean)

    def copy_to(self, net: Any) -> None:
        """Write the averaged parameters into a network of the same layers; its other arrays stay."""
        own = net._collect_params_with_prefix()
        for name, mean in self._means.items():
            own[name].set_data(mean.astype(own[name].dtype, copy=False))

    def state_arrays(self) -> Dict[str, np.ndarray]:
        """Return the average as NumPy arrays by name, for a state."""
        return {"average/" + name: mean.asnumpy() for name, mean in self._means.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the average from the arrays of `state_arrays`."""
        for name, mean in self._means.items():
            mean[:] = arrays["average/" + name]
