"""Open an ONNX or `.safetensors` file as the options of a prediction or a test ask for it, without MXNet."""

from __future__ import annotations

import dataclasses
from typing import Dict, Union

from ..options.fields import assignment
from ..runtimes.exported_model import OF_TORCH, ExportedModel, describes_itself, load_exported
from ..system.errors import InputError
from .class_names import read_class_names
from .options import ClassifierOptions, ModelFileOptions, TestOptions

_SOURCE = {"dataset": "name", "data_dir": "data_dir", "data_format": "data_format"}  # options of a test, by their entry


def open_exported(path: str, options: Union[ClassifierOptions, TestOptions]) -> ExportedModel:
    """Load an ONNX or `.safetensors` file that the command `export` wrote.

    Raises
    ------
    InputError
        If an option is given that such a file does not have; see also `exported_model.load_exported`.
    """
    _check_options(path, options)
    model = load_exported(path, options.runtime, options.precision, options.num_gpus)
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
    source = dict(model.source, **_given_source(options))
    if isinstance(options, TestOptions) and not source["name"]:
        raise InputError(f"{path}: its metadata does not name the data set: give `dataset`")
    return dataclasses.replace(model, facts=facts, source=source, has_own_names=bool(options.classes))


def _check_options(path: str, options: Union[ClassifierOptions, TestOptions]) -> None:
    """Raise InputError if an option is given that an exported file does not have."""
    if options.runtime == "mxnet":
        raise InputError(f"`runtime=mxnet`: {path} is an exported file; leave it out, or give the parameter file")
    unknown = {field.name for field in dataclasses.fields(ModelFileOptions)} - {"classes"}
    unknown |= {"gpus", "num_cpus", "graph"}
    if not path.endswith(OF_TORCH):
        unknown.add("num_gpus")
    if isinstance(options, TestOptions):
        unknown -= set(_SOURCE)
    for name, default in options.defaults().items():
        value = getattr(options, name)
        if name in unknown and value != default and (name != "num_gpus" or value):
            raise InputError(f"{assignment(name, value)}: {path} {describes_itself(path)}; leave it out")


def _given_source(options: Union[ClassifierOptions, TestOptions]) -> Dict[str, str]:
    return {entry: getattr(options, name) for name, entry in _SOURCE.items() if getattr(options, name)}
