"""A network that an engine has made ready to compute: `Program`."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

import numpy as np

PRECISIONS = ("float32", "bfloat16", "int8")


class Signature(NamedTuple):
    """What a graph takes and gives, whatever its metadata say.

    Attributes
    ----------
    kind : str
        Type of the numbers of the input: 'float32', 'uint8' or another.
    shape : tuple of int or None
        Of the input; None: any length.
    classes : int or None
        Last axis of the output.
    """

    kind: str
    shape: Tuple[Optional[int], ...]
    classes: Optional[int]


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
    signature : Signature, optional
        Of an ONNX file with one input and one output.
    network : torch.network_file.LoadedNetwork, optional
        Of a `.safetensors` file: the network itself, which can be looked into.
    """

    metadata: Dict[str, Any]
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    run: Callable[[np.ndarray], np.ndarray]
    runtime: str = ""
    precision: str = "float32"
    signature: Optional[Signature] = None
    network: Any = None
