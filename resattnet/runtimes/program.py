"""A network that an engine has made ready to compute: `Program`."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np

PRECISIONS = ("float32", "bfloat16", "int8")


class Program(NamedTuple):
    """A network that an engine has made ready to compute.

    Attributes
    ----------
    metadata : dict of str to JSON type
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
    network : torch.network_file.LoadedNetwork, optional
        Of a `.safetensors` file: the network itself, which can be looked into.
    """

    metadata: Dict[str, Any]
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    run: Callable[[np.ndarray], np.ndarray]
    runtime: str = ""
    precision: str = "float32"
    network: Any = None
