"""Export a network as ONNX, for runtimes other than MXNet."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Tuple, Union

import numpy as np

from .. import __version__
from ..runtimes.engines import open_session
from ..runtimes.onnx_graph import import_onnx, make_model
from .comparison import Comparison, Export, compare, compute_logits, write_checked
from .metadata import source_metadata
from .sources import Source, default_size, noise
from .targets import TARGETS


def export(source: Source, output: str, tolerance: float) -> Export:
    """Write a parameter file as ONNX, with its data facts as metadata."""
    comparison = export_onnx(
        source.model.net, output, images=source.images, metadata=source_metadata(source), tolerance=tolerance
    )
    return Export((output,), comparison)


def export_onnx(
    net: Any,
    path: str,
    image_size: Optional[Union[int, Tuple[int, int]]] = None,
    images: Optional[np.ndarray] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    tolerance: float = TARGETS["onnx"].tolerance,
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
        Strings, and values of JSON types, to store in the model beside `layout`, `channels`, `image_size` and
        `resattnet_version`.
    tolerance : float
        Largest allowed difference of the logits; relative to the largest logit where that is above 1.

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
    onnx, _ = import_onnx()
    if image_size is None:
        image_size = default_size(net) if images is None else images.shape[2:]
    height, width = map(int, np.broadcast_to(image_size, 2))
    compared = noise(height, width) if images is None else images
    expected = compute_logits(net, compared)
    model = make_model(net, height, width)
    model.doc_string = (
        f"Residual Attention Network (arXiv 1704.06904). images: float32 (batch, 3, {height}, {width}), RGB, "
        f"normalised as the metadata says; logits: float32 (batch, {expected.shape[1]})."
    )
    properties = dict(layout="NCHW", channels="RGB", image_size=[height, width], resattnet_version=__version__)
    properties.update(metadata or {})
    onnx.helper.set_model_props(
        model, {name: value if isinstance(value, str) else json.dumps(value) for name, value in properties.items()}
    )

    def read_logits(temporary: str) -> np.ndarray:
        onnx.checker.check_model(temporary, full_check=True)
        return onnx_logits(temporary, compared)

    logits = write_checked(
        path, lambda output: (output,), lambda temporary: onnx.save(model, temporary), read_logits, expected, tolerance
    )
    return compare(logits, expected)


def onnx_logits(path: str, images: np.ndarray) -> np.ndarray:
    """Return the logits that onnxruntime gives for images (N, 3, H, W), in batches of 1 and N - 1 images."""
    _, onnxruntime = import_onnx()
    session = open_session(onnxruntime, path)
    batches = (images[:1], images[1:]) if len(images) > 1 else (images,)
    return np.concatenate([session.run(["logits"], {"images": batch})[0] for batch in batches])
