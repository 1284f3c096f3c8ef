"""Open an ONNX or `.safetensors` file as options ask for it, without MXNet."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Optional

from ..options.fields import assignment
from ..runtimes.exported_model import ExportedModel, describes_itself, is_of_torch, load_exported
from ..system.errors import InputError
from .class_names import read_class_names
from .options import ModelFileOptions, ViewedModelOptions

_SOURCE = {"dataset": "name", "data_dir": "data_dir", "data_format": "data_format"}  # the entry of each option


def open_exported(
    path: str, options: ViewedModelOptions, needs_images: bool, runtime: str, precision: str, num_gpus: Optional[int]
) -> ExportedModel:
    """Load an ONNX or `.safetensors` file that the command `export` wrote.

    Parameters
    ----------
    path : str
    options : ViewedModelOptions
    needs_images : bool
        See `load_as`.
    runtime, precision, num_gpus
        See `exported_model.load_exported`.

    Raises
    ------
    InputError
        If an option is given that such a file does not have; see also `exported_model.load_exported`.
    """
    model = load_as(path, options, needs_images, runtime, precision, num_gpus)
    if options.image_size and is_of_torch(path):
        model = dataclasses.replace(
            model, facts=dataclasses.replace(model.facts, image_size=(options.image_size, options.image_size))
        )
    elif options.image_size and (options.image_size, options.image_size) != model.image_size:
        height, width = model.image_size
        raise InputError(
            f"`image_size={options.image_size}`: {path} was exported for {width}x{height} pixels: export it again with "
            "this size"
        )
    facts = dataclasses.replace(model.facts, geometry=options.see(model.facts.geometry))
    return dataclasses.replace(model, facts=facts)


def load_as(path: str, options: ModelFileOptions, needs_images: bool, *how: Any) -> ExportedModel:
    """Load an exported file with the class names and the data set of options.

    Parameters
    ----------
    path : str
    options : ModelFileOptions
    needs_images : bool
        Whether images of its data set are read: options say where they are.
    *how
        Further arguments of `exported_model.load_exported`.

    Raises
    ------
    InputError
        As `open_exported`.
    """
    _check_options(path, options, needs_images)
    model = load_exported(path, *how)
    facts = model.facts
    if options.classes:
        facts = dataclasses.replace(facts, classes=read_class_names(options.classes, path, len(facts.classes)))
    source = dict(model.source, **_given_source(options))
    if needs_images and source["data_format"] == "folder" and not os.path.isdir(source["data_dir"]):
        raise InputError(f"{path}: its network was trained on a folder of photographs: give `data_dir`, that folder")
    if needs_images and not source["name"]:
        raise InputError(f"{path}: its metadata does not name the data set: give `dataset`")
    return dataclasses.replace(model, facts=facts, source=source, has_own_names=bool(options.classes))


def _check_options(path: str, options: ModelFileOptions, needs_images: bool) -> None:
    """Raise InputError if an option is given that an exported file does not have."""
    unknown = {field.name for field in dataclasses.fields(ModelFileOptions)} - {"classes"}
    unknown |= {"gpus", "num_cpus", "graph"}
    if not is_of_torch(path):
        unknown.add("num_gpus")
    if needs_images:
        unknown -= set(_SOURCE)
    for name, default in options.defaults().items():
        value = getattr(options, name)
        if name in unknown and value != default and (name != "num_gpus" or value):
            raise InputError(f"{assignment(name, value)}: {path} {describes_itself(path)}; leave it out")


def _given_source(options: ModelFileOptions) -> Dict[str, str]:
    return {entry: getattr(options, name) for name, entry in _SOURCE.items() if getattr(options, name)}
