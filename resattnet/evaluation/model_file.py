"""Load trained networks from parameter files, with the facts of the data set that they were trained on."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..data.file_images import FileImages
from ..data.image_set import DataFacts, ImageSet, facts_of
from ..data.transforms import Transform
from ..datasets import catalog, recordio
from ..datasets.image_folders import describe_folder, open_image_folder
from ..models import parameters, pretrained
from ..models.descriptions import find_packaged
from ..models.graphs import CALIBRATION_IMAGES, fuse, quantize
from ..models.network import build
from ..models.spec import NETWORK_OPTIONS, NetworkSpec
from ..options.counts import limit_count
from ..system.devices import choose_devices
from ..system.errors import InputError, reason, remark
from ..system.input_files import read_text
from .options import ModelFileOptions, TestOptions


class LoadedModel(NamedTuple):
    """A network loaded from a parameter file, with its data facts.

    Attributes
    ----------
    path : str
        The parameter file as it was given: a path, or the name of packaged parameters.
    net : HybridBlock
        The network with its parameters, or another graph of it: see `open_model`.
    network : NetworkSpec
    facts : DataFacts
        Facts of the data set: class names, mean, standard deviation and so on.
    source : dict of str to str
        Arguments of `catalog.load_images`: `name`, `data_dir` and `data_format`.
    description : dict
        Contents of the description beside the parameters; empty where there is none.
    devices : list of mx.Context
        Devices that hold `net`.
    has_own_names : bool
        Whether the class names were given by `ModelFileOptions.classes`.
    """

    path: str
    net: Any
    network: NetworkSpec
    facts: DataFacts
    source: Dict[str, str]
    description: Dict[str, Any]
    devices: List[Any]
    has_own_names: bool = False

    @property
    def transform(self) -> Transform:
        """Transform of a test image: from uint8 pixels to the input of the network."""
        return Transform(self.facts.mean, self.facts.std, self.network.classes)

    @property
    def image_size(self) -> Tuple[int, int]:
        """Height and width of the input, in pixels.

        Raises
        ------
        InputError
            If the size has to be read from the data set's record files, and they cannot be read.
        """
        if self.facts.image_size:
            return self.facts.image_size
        if self.source["data_format"] == "rec":
            return recordio.image_size(self.source["name"], self.source["data_dir"])
        return catalog.SIDE, catalog.SIDE

    def images(self, split: str, download: bool = True) -> ImageSet:
        """Return the images of a split of the data set, with the class names of `facts`.

        Parameters
        ----------
        split : {'train', 'test'}
        download : bool
            Whether the data set may be downloaded.

        Raises
        ------
        InputError
            If the data set is not available, or has other classes than the network. Other differences from the data
            set that the network was trained on are a `Remark`.
        """
        if self.source["data_format"] == "folder":
            return self._images_of_folder(split)
        known = catalog.describe_data(**self.source)
        _check_classes(self.source["name"], len(known.classes), self.path, self.network.classes)
        image_set = catalog.load_images(split=split, download=download, **self.source)
        if split == "test":
            height, width = image_set.images.shape[1:3]
            self._compare_data(dataclasses.replace(known, image_size=(height, width)))
        return image_set._replace(classes=self.facts.classes)

    def _images_of_folder(self, split: str) -> ImageSet:
        """Return the images of a split of a folder, which are read when they are asked for."""
        folder = open_image_folder(self.source["data_dir"], **self.description.get("splits", {}))
        known = describe_folder(folder, self.facts)
        _check_classes(self.source["name"], len(known.classes), self.path, self.network.classes)
        files = folder.validation if split == "test" else folder.train
        if split == "test":
            self._compare_data(known)
        return ImageSet(FileImages(files, self.image_size, self.facts.geometry), files.labels, self.facts.classes)

    def _compare_data(self, known: DataFacts) -> None:
        """Compare the facts of the data set with those that the network was trained on."""
        differences = self.facts.differences(known)
        if not differences:
            return
        name, folder = self.source["name"], self.source["data_dir"]
        words = f"{self.path}: the data set {name} in {folder} differs from the training: {'; '.join(differences)}"
        if self.facts.classes != known.classes and not self.has_own_names:
            raise InputError(f"{words}; give `data_dir`, or `classes` if only the names differ")
        remark(words)

    def calibration_images(self, count: Optional[int] = None, download: bool = True) -> np.ndarray:
        """Return random training images, always the same ones, as the network is given them.

        Parameters
        ----------
        count : int, optional
            Number of images, or all images where there are fewer. Default: `graphs.CALIBRATION_IMAGES`.
        download : bool
            Whether the data set may be downloaded.

        Returns
        -------
        float32 array (count, 3, H, W)

        Raises
        ------
        InputError
            If the data set is not available.
        """
        train_set = self.images("train", download)
        total = len(train_set.labels)
        if count:
            count = limit_count("calibration_images", count, total, "training images")
        rows = np.random.default_rng(0).permutation(total)[: count or CALIBRATION_IMAGES]
        return self.transform(train_set.images[rows], train_set.labels[rows])[0]


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
    file = pretrained.resolve_path(path)
    description = parameters.read_description(file) or {}
    source, settings = _data_source(description, options), _network_settings(description, options)
    missing = ["`dataset`"] if source["name"] is None else []
    missing += [f"`{name}`" for name in NETWORK_OPTIONS if settings.get(name) is None]
    if missing:
        fault = ": the description beside it is incomplete" if description else " has no description beside it"
        raise InputError(f"{file}{fault}: give {', '.join(missing)}")
    facts = _data_facts(file, description, source, options)
    classes = settings.setdefault("classes", len(facts.classes))
    _check_classes(source["name"], len(facts.classes), file, classes)
    if options.classes:
        facts = dataclasses.replace(facts, classes=_read_class_names(options.classes, file, classes))
    network = NetworkSpec.from_dict(settings)
    net = build(network)
    parameters.load_parameters(net, file, devices)
    net.hybridize(static_alloc=True, static_shape=True)
    return LoadedModel(path, net, network, facts, source, description, devices, bool(options.classes))


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


def _check_classes(dataset: str, found: int, path: str, classes: int) -> None:
    if found != classes:
        raise InputError(f"`dataset={dataset}` has {found} classes, the network of {path} has {classes}")


def _read_class_names(names_path: str, path: str, classes: int) -> Tuple[str, ...]:
    """Return the names of the classes of a parameter file from a text file with one name on each line."""
    try:
        text = read_text(os.path.expanduser(names_path), "utf-8-sig")
        names = tuple(line.strip() for line in text.strip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"`classes={names_path}` cannot be read ({reason(error)})") from error
    if len(names) != classes:
        raise InputError(
            f"`classes={names_path}` has {len(names)} names, the network of {path} has {classes} classes; give one "
            "name on each line"
        )
    return names


def open_model(path: str, options: TestOptions, download: bool = True) -> LoadedModel:
    """Load a parameter file on the devices of the options, as the graph that they ask for.

    Parameters
    ----------
    path : str
        The parameter file, or the name of packaged parameters.
    options : TestOptions
        `graph` selects the network itself ('plain'), its layers fused by oneDNN ('fused') or its INT8 form ('int8').
    download : bool
        Whether the data set may be downloaded for the calibration of 'int8'.

    Returns
    -------
    LoadedModel

    Raises
    ------
    InputError
        See `load_model` and `devices.choose_devices`. Also if `flip` is given for a data set whose mirrored images do
        not show their class.
    """
    devices, _ = choose_devices(options.num_gpus if options.graph == "plain" else 0, options.num_cpus, options.gpus)
    model = load_model(path, options, devices)
    name = model.source["name"]
    if options.flip and not model.facts.flip:
        raise InputError(f"`flip=True`: a mirrored image of {name} does not show its class; leave it out")
    if options.graph == "fused":
        return model._replace(net=fuse(model.net))
    if options.graph == "int8":
        images = model.calibration_images(options.calibration_images, download)
        return model._replace(net=quantize(model.net, images))
    return model
