"""From gradients to new parameters: which decay, how gradients are summed and clipped, and the trainer of a run."""

from ..system.mxnet import mx
from .schedules import OptimizerSchedule


def make_trainer(net, options, schedule):
    """The trainer of a run.

    Parameters
    ----------
    net : gluon.Block
        Initialised, on the devices of the run.
    options : options.TrainingOptions
    schedule : callable
        The learning rate at a step, counted from 0.

    Returns
    -------
    gluon.Trainer
    """
    # Without the running statistics: a trainer of several devices would overwrite those of all by the first's.
    learned = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
    for parameter in learned:
        if options.no_wd and not decays(parameter):
            parameter.wd_mult = 0
    return mx.gluon.Trainer(
        learned,
        options.optimizer,
        dict(
            momentum=options.momentum,
            wd=options.wd,
            lr_scheduler=OptimizerSchedule(schedule),
            multi_precision=options.float16,
        ),
        kvstore="device" if len(learned[0].list_ctx()) > 1 else None,
        update_on_kvstore=False,
    )


class GradientSum:
    """The sum of the gradients of several backward passes, one after another.

    Not MXNet's own, `grad_req = "add"`: behind a cast, as of `precision.to_bfloat16`, oneDNN's part of it gives zeros.

    Parameters
    ----------
    parameters : list of gluon.Parameter
        Initialised; each has a gradient on each of its devices.
    """

    def __init__(self, parameters):
        self._pairs = [
            (gradient, gradient.zeros_like()) for parameter in parameters for gradient in parameter.list_grad()
        ]

    def add(self):
        """Add the gradients that stand on the devices to the sum."""
        for gradient, total in self._pairs:
            total += gradient

    def write_back(self):
        """Put the sum in the place of the gradients, and begin a new one."""
        for gradient, total in self._pairs:
            total.copyto(gradient)
            total[:] = 0


def decays(parameter):
    """Whether a parameter is a weight: neither a bias nor batch normalisation's gamma or beta."""
    return not parameter.name.endswith(("gamma", "beta", "bias"))


def update(trainer, samples, max_norm=None):
    """One update from the gradients of a sum over so many samples, which stand on the devices; waits for none of them.

    Parameters
    ----------
    trainer : gluon.Trainer
    samples : int
    max_norm : float, optional
        Norm to clip the gradient of the mean to.
    """
    if max_norm is None:
        trainer.step(samples)
        return
    trainer.allreduce_grads()
    # The devices have the same gradients now, and each finds the same factor by itself.
    for gradients in zip(*(parameter.list_grad() for parameter in trainer._params)):
        clip_by_norm(gradients, max_norm * samples)
    trainer.update(samples)


def clip_by_norm(gradients, max_norm):
    """Scale arrays of one device, in place, so that the norm of them all together is at most `max_norm`."""
    # Not by `multi_sum_sq`: its threads add in any order, and the last bits change from run to run.
    squares = sum(gradient.astype("float32", copy=False).square().sum() for gradient in gradients)
    factor = mx.nd.minimum(max_norm / mx.nd.sqrt(squares), 1)
    for gradient in gradients:
        gradient *= factor.astype(gradient.dtype, copy=False)
