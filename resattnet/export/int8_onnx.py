"""Export a network in INT8 as ONNX, for OpenVINO and onnxruntime."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from ..machine.packages import installed_version
from ..models.graphs import CALIBRATION_IMAGES
from ..options.counts import limit_count
from ..prediction.model_images import read_images
from ..runtimes.engines import ENGINES
from ..runtimes.int8_graph import BATCH_SIZE, import_nncf, quantize_model
from ..runtimes.onnx_graph import import_onnx, make_model
from ..runtimes.onnx_program import compile_model
from ..system.console import say
from ..system.errors import InputError
from .comparison import Export, compare, compute_logits
from .metadata import source_metadata
from .onnx_file import onnx_logits, write_onnx
from .sources import Source, at_size

COMPARED_IMAGES = 256  # training images on which each engine is compared with the float32 network; at most
LEAST_AGREEMENT = 0.9  # of the top-1 classes on these images


def export(source: Source, output: str, tolerance: float) -> Export:
    """Quantise the network of a parameter file and write it as ONNX, with its data facts as metadata.

    The written file is compared with the INT8 model in memory. The INT8 model is compared with the float32 network on
    training images that it was not calibrated on, as far as there are any, by each engine that is installed. The
    returned comparison is that with the float32 network on the images of `source`.

    Raises
    ------
    InputError
        If a package or the training images are missing, the file cannot be written, a logit is not finite, or the INT8
        model gives other classes than the float32 network on more than a tenth of these training images.
    RuntimeError
        If the logits of the file differ from those in memory; no file is written, and one that was there stays.
    """
    import_onnx()
    import_nncf()
    model, inside = source.model, source.normalisation
    images = inside.apply(inside.nearest_pixels(source.images)) if inside else source.images
    size = images.shape[2], images.shape[3]
    calibration, judged = _training_images(source, *size)
    expected = compute_logits(model.net, images)
    quantized = quantize_model(make_model(model.net, *size), calibration)
    contents = quantized.SerializeToString()
    agreement = _agreement(model.net, contents, judged, output)
    metadata = source_metadata(source)
    metadata.update(
        precision="int8",
        calibration=dict(
            images=len(calibration),
            of="training images, drawn by seed 0",
            method="NNCF post-training quantisation",
            nncf=installed_version("nncf"),
            same_top1=agreement,
            compared=len(judged),
        ),
    )
    logits = write_onnx(quantized, output, images, onnx_logits(contents, images), metadata, tolerance, inside)
    return Export((output,), compare(logits, expected))


def _training_images(source: Source, height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the images to calibrate on, and those to judge the result on, both float32 (N, 3, height, width).

    The second are others than the first. Where there are too few others, images of the calibration follow them.
    """
    model, count = source.model, source.options.calibration_images
    total = len(read_images(model, "train").labels)
    count = limit_count("calibration_images", count, total, "training images") if count else CALIBRATION_IMAGES
    images = at_size(model.calibration_images(min(total, count + COMPARED_IMAGES)), height, width)
    calibration, others = images[:count], images[count:]
    return calibration, np.concatenate([others, calibration])[:COMPARED_IMAGES]


def _agreement(net: Any, contents: bytes, images: np.ndarray, output: str) -> Dict[str, int]:
    """Return on how many images each installed engine gives the float32 network's class; print and check it."""
    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    expected = np.concatenate([compute_logits(net, batch) for batch in batches])
    found = {}
    for name in (name for name, engine in ENGINES.items() if engine.is_installed):
        run = compile_model(contents, name, "float32", output).run
        found[name] = compare(np.concatenate([run(batch) for batch in batches]), expected).agreeing
        words = f"INT8 by {name}: the class of the float32 network on {found[name]} of {len(images)} training images"
        if found[name] < LEAST_AGREEMENT * len(images):
            raise InputError(
                f"{output} was not written: {words}; give more `calibration_images`, or export in float32, `to=onnx`"
            )
        say(words)
    return found
