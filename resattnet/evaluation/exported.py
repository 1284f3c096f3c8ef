"""Open an ONNX file as the options of a prediction ask for it, without MXNet."""

from __future__ import annotations

import dataclasses

from ..options.fields import assignment
from ..runtimes.exported_model import ExportedModel, load_exported
from ..system.errors import InputError
from .class_names import read_class_names
from .options import ClassifierOptions, ModelFileOptions


def open_exported(path: str, options: ClassifierOptions) -> ExportedModel:
    """Load an ONNX file that the command `export` wrote.

    Raises
    ------
    InputError
        If an option is given that such a file does not have; see also `exported_model.load_exported`.
    """
    if options.runtime == "mxnet":
        raise InputError(f"`runtime=mxnet`: {path} is an ONNX file; leave it out, or give the parameter file")
    described = {field.name for field in dataclasses.fields(ModelFileOptions)} - {"classes"}
    for name, default in options.defaults().items():
        value = getattr(options, name)
        if (name in described or name == "gpus" or (name == "num_gpus" and value)) and value != default:
            raise InputError(f"{assignment(name, value)}: {path} describes itself, and runs on the CPU; leave it out")
    model = load_exported(path, options.runtime, options.precision)
    facts = model.facts
    if options.classes:
        facts = dataclasses.replace(facts, classes=read_class_names(options.classes, path, len(facts.classes)))
    if options.image_size and (options.image_size, options.image_size) != model.image_size:
        height, width = model.image_size
        raise InputError(
            f"`image_size={options.image_size}`: {path} was exported for {width}x{height} pixels: export it again with "
            "this size"
        )
    facts = dataclasses.replace(facts, geometry=options.see(facts.geometry))
    return dataclasses.replace(model, facts=facts)
