"""Put the normalisation of the images into an ONNX model: its input is then uint8 pixels."""

from __future__ import annotations

from typing import Any, NamedTuple, Tuple

import numpy as np

from ..data.transforms import normalise
from ..runtimes.onnx_graph import import_onnx

_NORMALISED = "normalised_images"


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel, for pixels in 0..1."""

    mean: Tuple[float, ...]
    std: Tuple[float, ...]

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return uint8 pixels (N, H, W, 3) as the network takes them, float32 (N, 3, H, W)."""
        return normalise(pixels.transpose(0, 3, 1, 2), self.mean, self.std)

    def nearest_pixels(self, images: np.ndarray) -> np.ndarray:
        """Return the uint8 pixels (N, H, W, 3) that are nearest to normalised images (N, 3, H, W)."""
        scaled = images.transpose(0, 2, 3, 1) * np.array(self.std) + self.mean
        return np.clip(np.rint(255 * scaled), 0, 255).astype(np.uint8)


def take_pixels(model: Any, normalisation: Normalisation) -> Any:
    """Return a model whose input `images` is uint8 (batch, H, W, 3), and whose first nodes normalise it.

    Parameters
    ----------
    model : onnx.ModelProto
        Its input `images` is float32 (batch, 3, H, W). It is not changed.
    normalisation : Normalisation
    """
    (onnx,) = import_onnx("onnx")
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    batch, _, height, width = (size.dim_param or size.dim_value for size in graph.input[0].type.tensor_type.shape.dim)
    graph.input[0].CopyFrom(
        onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, (batch, height, width, 3))
    )
    for node in graph.node:
        node.input[:] = [_NORMALISED if name == "images" else name for name in node.input]
    # In float32 and in this order, as `data.transforms.normalise` does it.
    mean, std = (np.asarray(values, np.float32).reshape(1, 3, 1, 1) for values in normalisation)
    arrays = {"pixel_scale": 1 / (255 * std), "pixel_offset": mean / std}
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    steps = [
        onnx.helper.make_node("Transpose", ["images"], ["pixels_nchw"], perm=(0, 3, 1, 2)),
        onnx.helper.make_node("Cast", ["pixels_nchw"], ["pixels_float32"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Mul", ["pixels_float32", "pixel_scale"], ["pixels_scaled"]),
        onnx.helper.make_node("Sub", ["pixels_scaled", "pixel_offset"], [_NORMALISED]),
    ]
    for node in steps:
        node.name = node.output[0]
    nodes = [*steps, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return changed
