"""Make the adaptive optimizers: AdamW, which MXNet 1.9 has as an operator only, and LAMB, tensor by tensor."""

from __future__ import annotations

import math
from typing import Any, Dict, Tuple

from ..machine.mxnet import mx

EPSILON = {"adamw": 1e-8, "lamb": 1e-6}  # added to the root of the mean square of the gradient


class AdamW(mx.optimizer.Optimizer):
    """Adam with decoupled weight decay (arXiv 1711.05101), with the numbers of PyTorch's AdamW.

    Update t, counted from 1, of a weight w with the gradient g at the learning rate lr is

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g²
        w = w - lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + wd w)

    MXNet's operator corrects no bias. Its two learning rates and its epsilon are therefore given with the correction
    in them.

    Parameters
    ----------
    beta1, beta2 : float
        Decay of the means of the gradient and of its square.
    epsilon : float
    kwargs
        Further arguments of `mx.optimizer.Optimizer`.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self._scales: Dict[Tuple[Any, float], Any] = {}

    def create_state(self, index: int, weight: Any) -> Tuple[Any, Any]:
        """Return the means of the gradient and of its square, zeros."""
        return mx.nd.zeros_like(weight), mx.nd.zeros_like(weight)

    def update(self, index: int, weight: Any, grad: Any, state: Tuple[Any, Any]) -> None:
        """Update a weight and its state in place; return before the device is done."""
        self._update_count(index)
        count = self._index_update_count[index]
        root = math.sqrt(1 - self.beta2**count)
        mx.nd.contrib.adamw_update(
            weight,
            grad,
            *state,
            self._scale(weight.context),
            lr=root / (1 - self.beta1**count),
            eta=self._get_lr(index),
            wd=self._get_wd(index),
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon * root,
            out=weight,
        )

    def _scale(self, device: Any) -> Any:
        """Return the factor of the gradients as the operator wants it: an array on the device."""
        key = device, self.rescale_grad
        if key not in self._scales:
            self._scales = {other: value for other, value in self._scales.items() if other[1] == self.rescale_grad}
            self._scales[key] = mx.nd.full((1,), self.rescale_grad, ctx=device)
        return self._scales[key]


def make_lamb(lr_scheduler: Any, **kwargs: Any) -> Any:
    """Return MXNet's LAMB (arXiv 1904.00962), which updates one tensor at a time.

    It would update 45 tensors in one operator, but this computes their norms by `multi_sum_sq`, whose threads add in
    any order: the last bits would change from run to run.
    """
    # Without a `learning_rate` that equals the scheduler's, MXNet prints that it overwrites the scheduler's.
    lamb = mx.optimizer.LAMB(learning_rate=lr_scheduler.base_lr, lr_scheduler=lr_scheduler, **kwargs)
    lamb.aggregate_num = 0
    return lamb
