"""Describe a network that is exported: the metadata of ONNX and `.safetensors` files, and a parameter file's own."""

from __future__ import annotations

from typing import Any, Dict

from ..prediction.model_file import LoadedModel
from ..system.files import digest
from .sources import Source


def source_metadata(source: Source) -> Dict[str, Any]:
    """Return the facts that a user of an exported file needs, as values of JSON types."""
    model, facts = source.model, source.model.facts
    metadata = dict(
        preprocessing=(
            "upright by EXIF, transparent parts on white, 16 bits rounded to 8, RGB; then, by `geometry`, the middle "
            "cropped or the whole image squashed, and scaled to `image_size`; then bytes / 255, and (x - mean) / std "
            "of each channel"
        ),
        range="0..1 before mean and std",
        mean=list(facts.mean),
        std=list(facts.std),
        geometry=facts.geometry.to_dict(),
        classes=list(source.classes),
        network=model.network.to_dict(),
        dataset=model.source["name"],
        dataset_title=facts.title,
        data_format=model.source["data_format"],
        flip=facts.flip,
        params_sha256=digest(source.path),
    )
    if model.splits:
        metadata["splits"] = model.splits
    if "validation_top1" in model.description:
        metadata["top1"] = model.description["validation_top1"]
    return metadata


def model_description(model: LoadedModel) -> Dict[str, Any]:
    """Return the description of the parameters of a model, with all that its own may lack.

    It has no data folder where the data set is one that the package knows, wherever its files are.
    """
    description = dict(
        model.description,
        network=model.network.to_dict(),
        dataset=model.source["name"],
        data_format=model.source["data_format"],
        data=model.facts.to_dict(),
    )
    if description["data_format"] == "bin":
        description.pop("data_dir", None)
    return description
