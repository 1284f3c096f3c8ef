"""Write ONNX models as files, with metadata, and compare them with what they are to compute."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import numpy as np

from .. import __version__
from ..data.metadata import to_texts
from ..runtimes.engines import Model, open_session
from ..runtimes.exported_model import NORMALISED, PIXELS
from ..runtimes.onnx_graph import import_onnx
from .comparison import write_checked
from .pixel_input import Normalisation, take_pixels


def onnx_logits(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the logits that onnxruntime gives for N images, in batches of 1 and N - 1 images.

    Parameters
    ----------
    model : str or bytes
        Path of a file, or its contents.
    images : array
        Float32 (N, 3, H, W), normalised; or pixels, uint8 (N, H, W, 3), for a model that takes them.
    """
    _, onnxruntime = import_onnx()
    session = open_session(onnxruntime, model)
    batches = (images[:1], images[1:]) if len(images) > 1 else (images,)
    return np.concatenate([session.run(["logits"], {"images": batch})[0] for batch in batches])


def write_onnx(
    model: Any,
    path: str,
    images: np.ndarray,
    expected: np.ndarray,
    metadata: Optional[Mapping[str, Any]],
    tolerance: float,
    normalisation: Optional[Normalisation] = None,
) -> np.ndarray:
    """Write a model, read it by onnxruntime, and compare the logits; return those of the file.

    Parameters
    ----------
    model : onnx.ModelProto
        Its input `images` is float32 (batch, 3, H, W), normalised. Its metadata and its text are replaced.
    path : str
        The file to write.
    images : float32 array (N, 3, H, W)
        Normalised images; with `normalisation`, those of pixels.
    expected : float array (N, classes)
        Logits of these images.
    metadata : mapping, optional
        Strings, and values of JSON types, to store in the model beside `input`, `layout`, `channels`, `image_size` and
        `resattnet_version`.
    tolerance : float
        See `targets.Target`.
    normalisation : Normalisation, optional
        The file normalises the images: its input is their pixels, uint8 (batch, H, W, 3).

    Raises
    ------
    InputError
        If the file cannot be written.
    RuntimeError
        If the logits differ. No file is written, and a file that was there before stays.
    """
    onnx, _ = import_onnx()
    height, width = images.shape[2:]
    kind, given = f"float32 (batch, 3, {height}, {width}), RGB, normalised as the metadata says", images
    if normalisation:
        model, given = take_pixels(model, normalisation), normalisation.nearest_pixels(images)
        kind = f"uint8 (batch, {height}, {width}, 3), RGB"
    model.doc_string = (
        f"Residual Attention Network (arXiv 1704.06904). images: {kind}; logits: float32 (batch, {expected.shape[1]})."
    )
    properties = dict(
        input=PIXELS if normalisation else NORMALISED,
        layout="NHWC" if normalisation else "NCHW",
        channels="RGB",
        image_size=[height, width],
        resattnet_version=__version__,
    )
    properties.update(metadata or {})
    onnx.helper.set_model_props(model, to_texts(properties))

    def read_logits(temporary: str) -> np.ndarray:
        onnx.checker.check_model(temporary, full_check=True)
        return onnx_logits(temporary, given)

    return write_checked(
        path, lambda output: (output,), lambda temporary: onnx.save(model, temporary), read_logits, expected, tolerance
    )
