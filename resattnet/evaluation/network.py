"""Evaluate a network on all samples of a loader: `evaluate`."""

from __future__ import annotations

from typing import Any, Callable, Iterable, List, Optional, Tuple

import numpy as np

from ..prediction.inference import compute_logits
from .metrics import Evaluation


def evaluate(
    net: Any,
    loader: Iterable[Tuple[np.ndarray, np.ndarray]],
    devices: List[Any],
    dtype: str = "float32",
    watch: Optional[Callable[[], None]] = None,
) -> Evaluation:
    """Return the evaluation of a network on all samples of a loader; the parameters are those of `compute_logits`."""
    return Evaluation(*compute_logits(net, loader, devices, dtype, watch))
