"""Open the network of a file as the options of a measurement ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..prediction.exported import open_exported
from ..runtimes.exported_model import ExportedModel, is_exported
from ..system.errors import InputError
from .options import TestOptions

if TYPE_CHECKING:  # it needs MXNet, which an exported file does not
    from ..prediction.loaded_model import LoadedModel

Model = Union["LoadedModel", ExportedModel]


def open_network(path: str, options: TestOptions, download: bool = True) -> Model:
    """Load a parameter file, or an ONNX or `.safetensors` file; the parameters are those of `evaluate_file`.

    Raises
    ------
    InputError
        See `open_model`, `exported.open_exported` and `TestOptions.check_source`. Also if mirrored images are asked for
        of a data set whose mirrored images do not show their class.
    """
    model: Model
    if is_exported(path):
        model = open_exported(path, options, True, options.runtime, options.precision, options.num_gpus)
        options.check_source(model.source)
    else:
        model = open_model(path, options, download)
    if (options.flip or options.crops == 10) and not model.facts.flip:
        given = "flip=True" if options.flip else "crops=10"
        raise InputError(f"`{given}`: a mirrored image of {model.source['name']} does not show its class; leave it out")
    return model


def open_model(path: str, options: TestOptions, download: bool = True) -> LoadedModel:
    """Load a parameter file on the devices of the options, as the graph or for the engine that they ask for.

    Parameters
    ----------
    path : str
        The parameter file, or the name of packaged parameters.
    options : TestOptions
        `graph` selects the network itself ('plain'), its layers fused by oneDNN ('fused') or its INT8 form ('int8');
        `runtime` and `precision` may select an engine in place of MXNet.
    download : bool
        Whether the data set may be downloaded for the calibration of 'int8'.

    Returns
    -------
    LoadedModel

    Raises
    ------
    InputError
        See `model_file.load_for_runtime`.
    """
    from ..models.graphs import fuse, quantize
    from ..prediction.model_file import load_for_runtime

    num_gpus = options.num_gpus if options.graph == "plain" else 0
    model = load_for_runtime(
        path, options, options.runtime, options.precision, num_gpus, options.num_cpus, options.gpus
    )
    if options.graph == "fused":
        return model._replace(net=fuse(model.net))
    if options.graph == "int8":
        images = model.calibration_images(options.calibration_images, download)
        return model._replace(net=quantize(model.net, images))
    return model
