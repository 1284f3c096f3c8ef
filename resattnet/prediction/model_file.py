"""Load trained networks from parameter files, with the facts of the data set that they were trained on."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List, Optional, Sequence

from ..data.facts import DataFacts, facts_of
from ..datasets import catalog
from ..machine.devices import choose_devices
from ..models.network import build
from ..models.spec import NETWORK_OPTIONS, NetworkSpec
from ..runtimes.choice import choose_for_network
from ..system.errors import InputError
from ..zoo import packaged, parameters
from ..zoo.descriptions import find_packaged
from .class_names import read_class_names
from .loaded_model import LoadedModel as LoadedModel
from .model_images import check_classes
from .options import ModelFileOptions, ViewedModelOptions


def load_model(path: str, options: ModelFileOptions, devices: List[Any]) -> LoadedModel:
    """Load a parameter file into the network that its description or the options specify.

    Parameters
    ----------
    path : str
        The parameter file, the name of packaged parameters, or "packaged": see `descriptions.find_packaged`.
    options : ModelFileOptions
        Values that replace those of the description beside the parameters.
    devices : list of mx.Context

    Returns
    -------
    LoadedModel

    Raises
    ------
    InputError
        If a file is missing or damaged, the parameters belong to another network, or neither the options nor a
        description specify the network and the data set.
    """
    path = find_packaged(path, {name: getattr(options, name) for name in NETWORK_OPTIONS})
    file = packaged.resolve_path(path)
    parameters.check_kind(file)
    description = parameters.read_description(file) or {}
    source, settings = _data_source(description, options), _network_settings(description, options)
    missing = ["`dataset`"] if source["name"] is None else []
    missing += [f"`{name}`" for name in NETWORK_OPTIONS if settings.get(name) is None]
    if missing:
        fault = ": the description beside it is incomplete" if description else " has no description beside it"
        raise InputError(f"{file}{fault}: give {', '.join(missing)}")
    facts = _data_facts(file, description, source, options)
    classes = settings.setdefault("classes", len(facts.classes))
    check_classes(source["name"], len(facts.classes), file, classes)
    if options.classes:
        facts = dataclasses.replace(facts, classes=read_class_names(options.classes, file, classes))
    facts = _as_viewed(facts, source, options)
    network = NetworkSpec.from_dict(settings)
    net = build(network)
    parameters.load_parameters(net, file, devices)
    net.hybridize(static_alloc=True, static_shape=True)
    return LoadedModel(path, net, network, facts, source, description, devices, bool(options.classes))


def _as_viewed(facts: DataFacts, source: Dict[str, Any], options: ModelFileOptions) -> DataFacts:
    """Return the facts with the size and the crop ratio of `ViewOptions`, where the options have and give them."""
    if not isinstance(options, ViewedModelOptions):
        return facts
    options.check_source(source)
    size = (options.image_size, options.image_size) if options.image_size else facts.image_size
    return dataclasses.replace(facts, image_size=size, geometry=options.see(facts.geometry))


def _data_source(description: Dict[str, Any], options: ModelFileOptions) -> Dict[str, Any]:
    """Return the arguments of `catalog.load_images`; the name is None where it is unknown."""
    return {
        "name": options.dataset or description.get("dataset"),
        "data_dir": options.data_dir or _training_data_dir(description),
        "data_format": options.data_format or description.get("data_format", "bin"),
    }


def _training_data_dir(description: Dict[str, Any]) -> str:
    """Return the data folder of the training run if it exists here, else the default folder."""
    folder = os.path.expanduser(description.get("data_dir", ""))
    return folder if os.path.isdir(folder) else "data"


def _network_settings(description: Dict[str, Any], options: ModelFileOptions) -> Dict[str, Any]:
    """Return the known fields of the `NetworkSpec`."""
    later = {name: getattr(NetworkSpec, name) for name in ("unit", "attention", "mask")}  # not in the oldest files
    settings = {**later, **description.get("network", {})}
    settings.update({name: getattr(options, name) for name in NETWORK_OPTIONS if getattr(options, name)})
    return settings


def _data_facts(file: str, description: Dict[str, Any], source: Dict[str, Any], options: ModelFileOptions) -> DataFacts:
    """Return the data facts of the description; those of the data set where there are none, or they are wrong."""
    try:
        facts = facts_of(file, description)
    except InputError as error:
        if not options.dataset:
            raise InputError(f"{error}; give `dataset`") from error
        facts = None
    return facts or catalog.describe_data(**source)


def load_for_runtime(
    path: str,
    options: ModelFileOptions,
    runtime: str = "auto",
    precision: str = "auto",
    num_gpus: Optional[int] = None,
    num_cpus: int = 1,
    gpus: Optional[Sequence[int]] = None,
) -> LoadedModel:
    """Load a parameter file on devices, or on the CPU for the engine that a runtime or a precision asks for.

    Parameters
    ----------
    path, options
        See `load_model`.
    runtime, precision : str
        See `choice.choose_for_network`. With 'auto' in both, MXNet computes: `LoadedModel.by_faster_engine` may change
        that.
    num_gpus, num_cpus, gpus
        See `devices.choose_devices`.

    Raises
    ------
    InputError
        See `load_model`, `devices.choose_devices` and `choice.choose_for_network`. Also if an engine and GPUs are asked
        for.
    """
    engine = choose_for_network(path, runtime, precision)
    if engine is None:
        devices, _ = choose_devices(num_gpus, num_cpus, gpus)
        return load_model(path, options, devices)
    if num_gpus:
        raise InputError(f"`runtime={engine}` `num_gpus={num_gpus}`: it is computed on the CPU; give one of them")
    model = load_model(path, options, choose_devices(0)[0])
    return model.convert(engine, "float32" if precision == "auto" else precision)
