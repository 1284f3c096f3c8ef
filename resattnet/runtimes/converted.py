"""A network of MXNet that an engine computes: `ConvertedNetwork`."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from ..system.errors import reason, remark
from .onnx_graph import make_model
from .onnx_program import compile_model

COMPARED_IMAGES = 16
TOLERANCE = 1e-4  # largest difference of two logits; relative to the largest logit where that is above 1

Compute = Callable[[np.ndarray], np.ndarray]  # from images (N, 3, H, W) to logits (N, classes)


class ConvertedNetwork:
    """A network of MXNet as an engine computes it; a callable from normalised images to logits.

    It is converted at the first batch, for images of that size. There the first images are also computed by MXNet, and
    the logits are compared if the engine computes in float32.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32.
    by_mxnet : callable
        Computes the logits by MXNet.
    runtime : str
        Key of `engines.ENGINES`.
    precision : {'float32', 'bfloat16'}
    is_choice : bool
        Whether the user has chosen the engine. If not, MXNet computes where the engine fails or has other logits; a
        `Remark` says so.

    Attributes
    ----------
    runtime : str
        What computes: the engine, or 'mxnet' if that is found to be better at the first batch.
    precision : str
    """

    def __init__(
        self, net: Any, by_mxnet: Compute, runtime: str, precision: str = "float32", is_choice: bool = True
    ) -> None:
        self.runtime, self.precision = runtime, precision
        self._net, self._by_mxnet, self._is_choice = net, by_mxnet, is_choice
        self._run: Optional[Compute] = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        images = np.ascontiguousarray(images, np.float32)
        if self._run is None:
            self._run = self._prepare(images)
        return self._run(images)

    def _prepare(self, images: np.ndarray) -> Compute:
        """Return what computes, by the engine if nothing is wrong with it."""
        name, run = self.runtime, None
        try:
            run = self._convert(*images.shape[2:])
            fault = self._difference(run, images[:COMPARED_IMAGES])
        except Exception as error:  # of MXNet's exporter, or of onnx
            if self._is_choice:
                raise
            fault = reason(error)
        if run is not None and (fault is None or self._is_choice):
            if fault is not None:
                remark(f"{name}: {fault}")
            return run
        self.runtime, self.precision = "mxnet", "float32"
        remark(f"MXNet computes, and not {name}: {fault}; `runtime=mxnet` asks for that")
        return self._by_mxnet

    def _convert(self, height: int, width: int) -> Compute:
        model = make_model(self._net, height, width)
        return compile_model(model.SerializeToString(), self.runtime, self.precision, "the network").run

    def _difference(self, run: Compute, images: np.ndarray) -> Optional[str]:
        """Return how the logits of the engine differ from MXNet's; None if they do not."""
        if self.precision != "float32":
            return None
        expected = self._by_mxnet(images)
        error, largest = float(np.abs(run(images) - expected).max()), float(np.abs(expected).max())
        if not np.isfinite(largest) or error <= TOLERANCE * max(1, largest):  # not finite: that is the network's fault
            return None
        return f"its logits differ from MXNet's by {error:.2g} (largest logit {largest:.3g})"
