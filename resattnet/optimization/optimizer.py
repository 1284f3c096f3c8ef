"""Update parameters from gradients: weight decay, sums of gradients, clipping, and the trainer of a run."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Optional, Sequence

import numpy as np

from ..distributed.group import SOLO, Group
from ..machine.mxnet import mx
from ..run_options.optimizer_options import ADAPTIVE
from ..run_options.options import RunOptions
from .adaptive import EPSILON, AdamW, make_lamb
from .flat_trainer import FlatTrainer, gradient_arrays
from .schedules import OptimizerSchedule


def make_trainer(net: Any, options: RunOptions, schedule: Callable[[int], float], group: Group = SOLO) -> Any:
    """Return the Gluon trainer of a run.

    Parameters
    ----------
    net : AttentionNet
        Initialised, on the devices of the run. Its frozen parameters are left out.
    options : RunOptions
    schedule : callable
        Learning rate at a step, counted from 0.
    group : Group
        The processes whose gradients are added.

    Returns
    -------
    gluon.Trainer
    """
    # Running statistics are left out: the trainer would overwrite those of every device with the first device's.
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
    for parameter in trained:
        if options.no_wd and not decays(parameter):
            parameter.wd_mult = 0
    if options.head_lr_factor != 1:
        net.output.collect_params().setattr("lr_mult", options.head_lr_factor)
    optimizer = make_optimizer(options, schedule)
    if options.optimizer != "lamb" and _can_be_flat(trained, group):
        return FlatTrainer(trained, optimizer)
    return group.make_trainer(trained, optimizer)


def _can_be_flat(parameters: Sequence[Any], group: Group) -> bool:
    """Return whether the parameters can be parts of flat arrays.

    Processes, and GPUs, exchange the gradient of a parameter as soon as the backward pass has it. As parts of one
    array, all gradients would be sent at its end. In float16, the optimizer has weights of its own.
    """
    devices = parameters[0].list_ctx()
    return (
        type(group) is Group  # the engines of several processes have trainers of their own
        and all(device.device_type == "cpu" for device in devices)
        and all(np.dtype(parameter.dtype) == np.float32 for parameter in parameters)
    )


def make_optimizer(options: RunOptions, schedule: Callable[[int], float]) -> Any:
    """Return the optimizer that the options describe, an `mx.optimizer.Optimizer`.

    Parameters
    ----------
    options : RunOptions
    schedule : callable
        Learning rate at a step, counted from 0.
    """
    name = options.optimizer
    make = {"adamw": AdamW, "lamb": make_lamb, "nag": mx.optimizer.NAG, "sgd": mx.optimizer.SGD}[name]
    if name in ADAPTIVE:
        own = dict(beta1=options.beta1, beta2=options.beta2, epsilon=EPSILON[name])
    else:
        own = dict(momentum=options.momentum)
    return make(
        wd=options.weight_decay,
        lr_scheduler=OptimizerSchedule(schedule),
        multi_precision=options.float16,
        **own,
    )


class GradientSum:
    """Sum the gradients of several backward passes.

    MXNet's own sum, `grad_req = "add"`, cannot be used: after a mixed-precision cast it adds nothing.

    Parameters
    ----------
    gradients : list of NDArray
        Those of all devices.
    """

    def __init__(self, gradients: Iterable[Any]) -> None:
        self._pairs = [(gradient, gradient.zeros_like()) for gradient in gradients]

    def add(self) -> None:
        """Add the current gradients to the sum."""
        for gradient, total in self._pairs:
            total += gradient

    def write_back(self) -> None:
        """Replace the gradients with the sum, and set the sum to zero."""
        for gradient, total in self._pairs:
            total.copyto(gradient)
            total[:] = 0


def decays(parameter: Any) -> bool:
    """Return whether a parameter is a weight: neither a bias nor gamma or beta of batch normalisation."""
    return not parameter.name.endswith(("gamma", "beta", "bias"))


def update(trainer: Any, samples: int, max_norm: Optional[float] = None) -> None:
    """Update the parameters from the gradients on the devices; return before the devices are done.

    Parameters
    ----------
    trainer : gluon.Trainer
    samples : int
        Number of samples whose losses the gradients are summed over, those of all processes.
    max_norm : float, optional
        Largest norm of the gradient of the mean loss.
    """
    if max_norm is None:
        trainer.step(samples)
        return
    trainer.allreduce_grads()
    # All devices of all processes have the same gradients now, so each computes the same factor.
    gradients = zip(*(parameter.list_grad() for parameter in trainer._params))
    for of_device, whole in zip(gradients, gradient_arrays(trainer)):
        clip_by_norm(of_device, max_norm * samples, whole)
    trainer.update(samples)


def clip_by_norm(gradients: Sequence[Any], max_norm: float, whole: Optional[Sequence[Any]] = None) -> None:
    """Scale arrays of one device in place, so that the norm over all of them is at most `max_norm`.

    `whole` are fewer arrays that they are the parts of.
    """
    # MXNet's `multi_sum_sq` is not used: its threads add in any order, so the last bits change from run to run.
    squares = sum(gradient.astype("float32", copy=False).square().sum() for gradient in gradients)
    factor = mx.nd.minimum(max_norm / mx.nd.sqrt(squares), 1)
    for gradient in whole or gradients:
        gradient *= factor.astype(gradient.dtype, copy=False)
