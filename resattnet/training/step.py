"""Train a network on one batch: `TrainingStep`, and the functions that make one."""

from __future__ import annotations

import functools
import itertools
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from ..distributed.group import SOLO, Group
from ..machine.devices import split_batch
from ..machine.mxnet import mx
from ..models.batch_norm import SynchronisedDevices, synchronise
from ..models.network import build
from ..models.precision import to_bfloat16
from ..models.spec import NetworkSpec
from ..models.training_graph import TrainingGraph, computes_with_onednn, to_float32
from ..optimization.distillation import DistillationLoss, Teacher
from ..optimization.ema import MovingAverage
from ..optimization.flat_trainer import FlatTrainer, gradient_arrays
from ..optimization.optimizer import GradientSum, make_trainer, update
from ..optimization.weighted_loss import WeightedLoss
from ..run_options.options import RunOptions
from ..zoo import parameters
from .meters import Meter

# Steps queued on the devices ahead of the one that they compute. With fewer, the devices wait for this process; with
# more, the progress bar is ahead of the training.
STEPS_AHEAD = 2


def array_type(options: RunOptions) -> str:
    """Return the type of parameters, images and validation: 'float16' or 'float32'.

    A step in bfloat16 has float32 parameters and images: only its graph differs (`models.precision.to_bfloat16`).
    """
    return "float16" if options.float16 else "float32"


def make_net(spec: NetworkSpec, devices: Sequence[Any], dtype: str = "float32", init: Any = None) -> Any:
    """Return an initialised and hybridised network on the devices.

    Parameters
    ----------
    spec : NetworkSpec
    devices : sequence of mx.Context
    dtype : {'float32', 'float16'}
    init : mx.init.Initializer, optional
        Default: MSRAPrelu.
    """
    net = build(spec)
    net.initialize(init or mx.init.MSRAPrelu(), ctx=list(devices))
    if dtype != "float32":  # a cast to float32 would copy every parameter
        net.cast(dtype)
    net.hybridize(static_alloc=True, static_shape=True)
    return net


def make_step(
    net: Any,
    options: RunOptions,
    devices: Sequence[Any],
    schedule: Callable[[int], float],
    soft_labels: bool = False,
    teacher: Optional[Teacher] = None,
    weights: Optional[np.ndarray] = None,
    group: Group = SOLO,
) -> TrainingStep:
    """Return the training step that the options describe.

    Parameters
    ----------
    net : AttentionNet
        Initialised on the devices.
    options : RunOptions
    devices : sequence of mx.Context
    schedule : callable
        Learning rate at a step, counted from 0.
    soft_labels : bool
        Whether labels are float32 (N, classes), as mixup and label smoothing make them, and not int32 (N,).
    teacher : Teacher, optional
        Network whose logits are learned as well as the labels.
    weights : float32 array (classes,), optional
        Weight of each class in the loss; with a teacher, in the term of the labels only.
    group : Group
        The processes that train together.
    """
    loss: Any = mx.gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=not soft_labels)
    if weights is not None:
        loss = WeightedLoss(loss, weights, devices)
    if teacher:
        loss = DistillationLoss(loss, options.teacher_weight, options.temperature)
    trainer = make_trainer(net, options, schedule, group)
    segments = trainer.segments if isinstance(trainer, FlatTrainer) else ()
    synchronised = synchronise(net, devices) if options.sync_bn and len(devices) > 1 else None
    return TrainingStep(
        net,
        loss,
        trainer,
        devices,
        synchronised=synchronised,
        graph=training_graph(net, options.dtype, devices, synchronised is not None),
        teacher=teacher,
        average=MovingAverage(net, options.ema, segments) if options.ema else None,
        accumulate=options.accumulate,
        clip_norm=options.clip_gradient,
        dtype=array_type(options),
    )


def training_graph(net: Any, dtype: str, devices: Sequence[Any], synchronised: bool = False) -> Any:
    """Return what computes the logits of a step in a type, 'float32' or 'bfloat16': a graph, or the network itself.

    Layers that normalise by the batch on all devices are no operators of oneDNN: their network is computed as it is.
    """
    if dtype == "bfloat16":
        return TrainingGraph(net, to_bfloat16)
    return TrainingGraph(net, to_float32) if computes_with_onednn(devices) and not synchronised else net


class TrainingStep:
    """One update of a network from one batch: forward, loss, backward, update, moving average.

    A call returns before the devices are done: nothing in a step waits for its own result.

    Parameters
    ----------
    net : AttentionNet
        Initialised on the devices.
    loss : callable
        `loss(logits, labels)` returns the loss of each sample, (N,); with a teacher `loss(logits, labels,
        teacher_logits)`.
    trainer : gluon.Trainer
    devices : sequence of mx.Context
        Each gets an equal part of a batch.
    graph : callable, optional
        Computes the logits with the parameters of `net`, for example in bfloat16; default: `net`.
    teacher : callable, optional
        Maps images to the logits to learn as well as the labels.
    average : MovingAverage, optional
        Updated after each step.
    accumulate : int
        Number of parts of a batch, computed one after the other, whose gradients are summed for the update.
    clip_norm : float, optional
        Largest norm of the gradient of the mean loss, over all parameters.
    dtype : {'float32', 'float16'}
        Type of the images on the devices.
    synchronised : SynchronisedDevices, optional
        The devices, if layers of the network normalise by the batch on all of them.

    Attributes
    ----------
    meter : Meter
        Counts loss, hits and samples of the steps.
    """

    def __init__(
        self,
        net: Any,
        loss: Callable[..., Any],
        trainer: Any,
        devices: Sequence[Any],
        graph: Optional[Callable[[Any], Any]] = None,
        teacher: Optional[Callable[[Any], Any]] = None,
        average: Optional[MovingAverage] = None,
        accumulate: int = 1,
        clip_norm: Optional[float] = None,
        dtype: str = "float32",
        synchronised: Optional[SynchronisedDevices] = None,
    ) -> None:
        self.net, self.loss, self.trainer, self.devices = net, loss, trainer, list(devices)
        self.graph = net if graph is None else graph
        self.teacher, self.average, self.dtype = teacher, average, dtype
        self.meter = Meter()
        self._accumulate, self._clip_norm, self._synchronised = accumulate, clip_norm, synchronised
        self._gradient_sum = GradientSum(itertools.chain(*gradient_arrays(trainer))) if accumulate > 1 else None

    def __call__(self, images: np.ndarray, labels: np.ndarray, samples: Optional[int] = None) -> None:
        """Update the network from a batch of normalised images (N, 3, H, W) and labels (N,) or (N, classes).

        `samples` is the number of images of the update, where other processes have a part of them; default: N.
        """
        for part in zip(*(np.array_split(array, self._accumulate) for array in (images, labels))):
            self.compute_gradients(split_batch(part[0], part[1], self.devices, self.dtype))
            if self._gradient_sum:
                self._gradient_sum.add()
        if self._gradient_sum:
            self._gradient_sum.write_back()
        update(self.trainer, samples or len(images), self._clip_norm)
        if self.average:
            self.average.update(self.trainer.optimizer.num_update)

    def compute_gradients(self, parts: List[Tuple[Any, Any]]) -> None:
        """Run forward and backward for one batch, given as (images, labels) on each device, and count its loss."""
        if self._synchronised:
            self._synchronised.begin([len(x) for x, _ in parts])
        with mx.autograd.record():
            outputs = [self.graph(x) for x, _ in parts]
            with mx.autograd.pause():  # after the graph, which can turn AMX on only before anything else is computed
                targets = [(y, self.teacher(x)) if self.teacher else (y,) for x, y in parts]
            # The loss is computed in float32 for float16 logits too: soft labels are float32.
            losses = [
                self.loss(output.astype("float32", copy=False), *target) for output, target in zip(outputs, targets)
            ]
        mx.autograd.backward(losses)
        for loss, output, (_, y) in zip(losses, outputs, parts):
            label = y.argmax(axis=1) if y.ndim == 2 else y.astype("float32")  # for a soft label, the heavier class
            hits = output.argmax(axis=1).astype("float32") == label
            self.meter.add(loss.sum(), hits.sum(), len(loss))
        self.meter.limit_pending(STEPS_AHEAD * len(parts))

    def copy_for_inference(self, averaged: bool = False) -> Any:
        """Return a network for inference with the present parameters, or with their moving average.

        Inference changes weights to oneDNN's layouts. Neither training on from such weights nor writing new values to
        them gives the same bits every time, so the network in training is never used for inference. Each call gives new
        arrays to one network, whose graph stays: a network that an earlier call returned has the new values.
        """
        parameters.copy_parameters(self.net, self._inference_net)
        if averaged:
            assert self.average is not None
            self.average.copy_to(self._inference_net)
        return self._inference_net

    @functools.cached_property
    def _inference_net(self) -> Any:
        net = build(self.net.spec)
        net.collect_params().setattr("grad_req", "null")  # gradients would double its memory
        net.cast(self.dtype)
        net.hybridize(static_alloc=True, static_shape=True)
        return net
