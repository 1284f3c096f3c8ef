"""Weigh a loss by class: `WeightedLoss`."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np

from ..machine.mxnet import mx


class WeightedLoss:
    """The loss of each sample, times the weight of its class; for a soft label, times its expected weight.

    The mean over a batch divides by the number of samples, not by the sum of their weights. The gradient of a sample
    therefore depends on no other sample, on one device or several.

    Parameters
    ----------
    loss : callable
        `loss(logits, labels)` returns the loss of each sample, (N,).
    weights : float32 array (classes,)
    devices : sequence of mx.Context
    """

    def __init__(self, loss: Callable[..., Any], weights: np.ndarray, devices: Sequence[Any]) -> None:
        self._loss = loss
        self._weights = {device: mx.nd.array(weights, ctx=device) for device in devices}

    def __call__(self, logits: Any, labels: Any) -> Any:
        """Return the weighted loss of each sample, (N,), from labels (N,) or (N, classes)."""
        weights = self._weights[labels.context]
        expected = mx.nd.dot(labels, weights) if labels.ndim == 2 else weights.take(labels)
        return self._loss(logits, labels) * expected
