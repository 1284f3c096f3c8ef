"""Export a network as ONNX, for runtimes other than MXNet."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple, Union

import numpy as np

from ..runtimes.onnx_graph import import_onnx, make_model
from .comparison import Comparison, Export, compare, compute_logits
from .metadata import source_metadata
from .onnx_file import write_onnx
from .pixel_input import Normalisation
from .sources import Source, default_size, noise
from .targets import TARGETS


def export(source: Source, output: str, tolerance: float) -> Export:
    """Write a parameter file as ONNX, with its data facts as metadata."""
    comparison = export_onnx(
        source.model.net,
        output,
        images=source.images,
        metadata=source_metadata(source),
        tolerance=tolerance,
        normalisation=source.normalisation,
    )
    return Export((output,), comparison)


def export_onnx(
    net: Any,
    path: str,
    image_size: Optional[Union[int, Tuple[int, int]]] = None,
    images: Optional[np.ndarray] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    tolerance: float = TARGETS["onnx"].tolerance,
    normalisation: Optional[Tuple[Tuple[float, ...], Tuple[float, ...]]] = None,
) -> Comparison:
    """Write a network as ONNX: input `images` (batch, 3, H, W), output `logits` (batch, classes), any batch size.

    Parameters
    ----------
    net : AttentionNet
        Initialised, float32. It is not changed.
    path : str
        The file to write.
    image_size : int or (int, int), optional
        Side of the images, or height and width; default: that of `images`, else the size that the stem is designed
        for (224 for ImageNet's, 32 for CIFAR's).
    images : float32 array (N, 3, H, W), optional
        Images of that size, normalised, on which the file is compared with the network; default: noise, the same at
        each call.
    metadata : mapping, optional
        Strings, and values of JSON types, to store in the model beside `input`, `layout`, `channels`, `image_size` and
        `resattnet_version`.
    tolerance : float
        Largest allowed difference of the logits; relative to the largest logit where that is above 1.
    normalisation : (mean, std), optional
        Mean and standard deviation of each channel, for pixels in 0..1. With it, the file normalises the images: its
        input is uint8 (batch, H, W, 3).

    Returns
    -------
    Comparison
        Comparison of the logits of onnxruntime with those of the network.

    Raises
    ------
    InputError
        If onnx or onnxruntime is missing, the file cannot be written, or a logit of the network is not finite.
    RuntimeError
        If the logits differ. No file is written, and a file that was there before stays.
    """
    import_onnx()
    if image_size is None:
        image_size = default_size(net) if images is None else images.shape[2:]
    height, width = map(int, np.broadcast_to(image_size, 2))
    compared = noise(height, width) if images is None else images
    inside = Normalisation(*normalisation) if normalisation else None
    if inside:
        compared = inside.apply(inside.nearest_pixels(compared))
    expected = compute_logits(net, compared)
    model = make_model(net, height, width)
    logits = write_onnx(model, path, compared, expected, metadata, tolerance, inside)
    return compare(logits, expected)
