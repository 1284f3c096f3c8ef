"""The steps in PyTorch that the benchmark measures: training and inference, eager or by `torch.compile`.

The benchmark imports this module, and with it PyTorch, only where it measures PyTorch.
"""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch.nn import functional as F

from ..torch.network import AttentionNet


def training_step(
    module: AttentionNet,
    images: Any,
    labels: Any,
    dtype: str = "float32",
    lr: float = 1e-3,
    momentum: float = 0.9,
    wd: float = 1e-4,
    compiled: bool = False,
) -> Callable[[], None]:
    """Return a function that trains the network one step on a batch: channels_last, Nesterov momentum, cross-entropy.

    Parameters
    ----------
    module : AttentionNet
    images : float32 array (N, 3, H, W)
    labels : int array (N,)
    dtype : {'float32', 'bfloat16'}
        bfloat16 is by autocast: weights and optimizer stay float32.
    lr, momentum, wd : float
        Learning rate, momentum and weight decay.
    compiled : bool
        Whether forward and backward pass are compiled by `torch.compile`, which the first step waits for.
    """
    module = module.train().to(memory_format=torch.channels_last)
    forward = torch.compile(module) if compiled else module
    images = torch.from_numpy(images).to(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).long()
    optimizer = torch.optim.SGD(module.parameters(), lr, momentum, weight_decay=wd, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    return step


def inference_step(
    module: AttentionNet, images: Any, dtype: str = "float32", compiled: bool = False
) -> Callable[[], torch.Tensor]:
    """Return a function that computes the logits of a batch: channels_last, other parameters as in `training_step`."""
    module = module.eval().to(memory_format=torch.channels_last)
    forward = torch.compile(module) if compiled else module
    images = torch.from_numpy(images).to(memory_format=torch.channels_last)

    def step() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            return forward(images)

    return step
