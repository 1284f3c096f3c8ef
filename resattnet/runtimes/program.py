"""A network that an engine has made ready to compute: `Program`."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..models.attention_maps import AttentionMaps

PRECISIONS = ("float32", "bfloat16", "int8")


class Program(NamedTuple):
    """A network that an engine has made ready to compute.

    Attributes
    ----------
    metadata : dict of str to str
        The metadata of its file.
    inputs, outputs : tuple of str
        Names of its inputs and outputs.
    run : callable
        Returns the logits (N, classes) of images: normalised, float32 (N, 3, H, W); or pixels, uint8 (N, H, W, 3), for
        a model that takes them.
    runtime : str
        Key of `engines.ENGINES`, or 'torch'.
    precision : str
        One of `PRECISIONS`.
    attention_maps : callable, optional
        Returns an `AttentionMaps` for each module that has a mask, for normalised images (N, 3, H, W).
    """

    metadata: Dict[str, str]
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    run: Callable[[np.ndarray], np.ndarray]
    runtime: str = ""
    precision: str = "float32"
    attention_maps: Optional[Callable[[np.ndarray], List[AttentionMaps]]] = None
