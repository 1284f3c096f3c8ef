"""Run a network over all samples of a loader, each sample exactly once."""

from __future__ import annotations

from typing import Any, Callable, Iterable, List, Optional, Tuple

import numpy as np

from ..machine.devices import split_batch
from .logits import collect_logits


def compute_logits(
    net: Any,
    loader: Iterable[Tuple[np.ndarray, np.ndarray]],
    devices: List[Any],
    dtype: str = "float32",
    watch: Optional[Callable[[], None]] = None,
    mirror: bool = False,
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the logits of a network and the labels of all samples of a loader.

    Parameters
    ----------
    net : HybridBlock
        Maps images (N, C, H, W) to logits (N, classes).
    loader : iterable of (images, labels)
        Images (N, C, H, W) and int labels (N,).
    devices : list of mx.Context
        Devices that hold `net`. Each batch is split over them.
    dtype : str
        Type of the images that the network is given.
    watch, mirror
        See `logits.collect_logits`.

    Returns
    -------
    logits : float array (N, classes)
    labels : int array (N,)
    """
    return collect_logits(logits_function(net, devices, dtype), loader, watch, mirror)


def logits_function(net: Any, devices: List[Any], dtype: str = "float32") -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that computes logits (N, classes) of images (N, C, H, W), as arrays of NumPy, by a network.

    The parameters are those of `compute_logits`.
    """

    def compute(images: np.ndarray) -> np.ndarray:
        no_labels = np.zeros(len(images), np.int32)
        outputs = [net(part) for part, _ in split_batch(images, no_labels, devices, dtype)]
        return np.concatenate([output.asnumpy() for output in outputs])

    return compute
