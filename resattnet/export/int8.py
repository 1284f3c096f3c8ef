"""Export a network in INT8 as Gluon's symbol and parameters, for MXNet on CPUs."""

from __future__ import annotations

from ..models.graphs import quantize
from .comparison import Export, compare, compute_logits
from .sources import Source
from .symbol import export_symbol


def export(source: Source, output: str, tolerance: float) -> Export:
    """Quantise the network of a parameter file and write it as a symbol.

    The written files are compared with the INT8 network in memory. The returned comparison is between the INT8 network
    and the float32 network.
    """
    model = source.model
    images = model.calibration_images(source.options.calibration_images)
    quantized = quantize(model.net, images)
    exported = export_symbol(quantized, output, source.images, tolerance)
    comparison = compare(compute_logits(quantized, source.images), compute_logits(model.net, source.images))
    return exported._replace(comparison=comparison)
