"""Compute a large batch by OpenVINO in parts, one on each core."""

from __future__ import annotations

from typing import Any, Callable, List

import numpy as np

STREAM_IMAGES = 16  # images of a part, from which on a batch is computed in parts


class OpenvinoStreams:
    """Computes a batch in as many parts as there are cores, at the same time, each on one core.

    No layer waits for the other cores then. The model is compiled for it at the first batch.

    Parameters
    ----------
    compile_streams : callable
        Returns the `openvino.CompiledModel`, with `count` streams.
    count : int
        Number of parts.
    """

    def __init__(self, compile_streams: Callable[[], Any], count: int) -> None:
        self._compile, self._count = compile_streams, count
        self._requests: List[Any] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of images, as `engines.Program.run` does."""
        if not self._requests:
            compiled = self._compile()
            self._requests = [compiled.create_infer_request() for _ in range(self._count)]
        parts = np.array_split(images, self._count)
        for request, part in zip(self._requests, parts):
            request.start_async([part], share_inputs=True)
        for request in self._requests:
            request.wait()
        return np.concatenate([request.get_output_tensor().data for request in self._requests]).astype(np.float32)
