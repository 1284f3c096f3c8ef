"""Read the images of the data set that a network was trained on: `read_images`."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Protocol, Tuple

from ..data.facts import DataFacts
from ..data.file_images import FileImages
from ..data.image_set import ImageSet
from ..datasets import catalog
from ..folders.image_sources import open_images
from ..folders.image_splits import describe_folder
from ..system.errors import InputError, remark


class TrainedModel(Protocol):
    """A network with what it knows of its data set: a `LoadedModel` or an `ExportedModel`."""

    @property
    def path(self) -> str:
        """File of the network, for messages."""

    @property
    def facts(self) -> DataFacts:
        """Facts of the data set that it was trained on."""

    @property
    def source(self) -> Dict[str, str]:
        """Arguments of `catalog.load_images`: `name`, `data_dir` and `data_format`."""

    @property
    def splits(self) -> Dict[str, Any]:
        """Of a folder of images: arguments of `image_sources.open_images`."""

    @property
    def has_own_names(self) -> bool:
        """Whether the class names were given by the user."""

    @property
    def image_size(self) -> Tuple[int, int]:
        """Height and width of the input, in pixels."""


def read_images(model: TrainedModel, split: str, download: bool = True) -> ImageSet:
    """Return the images of a split of the data set of a network, with the class names of its facts.

    Parameters
    ----------
    model : TrainedModel
    split : {'train', 'test'}
    download : bool
        Whether the data set may be downloaded.

    Raises
    ------
    InputError
        If the data set is not available, or has other classes than the network. Other differences from the data set
        that the network was trained on are a `Remark`.
    """
    if model.source["data_format"] == "folder":
        return _read_folder(model, split)
    known = catalog.describe_data(**model.source)
    check_classes(model.source["name"], len(known.classes), model.path, len(model.facts.classes))
    image_set = catalog.load_images(split=split, download=download, **model.source)
    if split == "test":
        height, width = image_set.images.shape[1:3]
        _compare_data(model, dataclasses.replace(known, image_size=(height, width)))
    return image_set._replace(classes=model.facts.classes)


def _read_folder(model: TrainedModel, split: str) -> ImageSet:
    """Return the images of a split of a folder, which are read when they are asked for."""
    folder = open_images(model.source["data_dir"], **model.splits)
    check_classes(model.source["name"], len(folder.train.classes), model.path, len(model.facts.classes))
    files = folder.validation if split == "test" else folder.train
    if split == "test":
        _compare_data(model, describe_folder(folder, model.facts))
    return ImageSet(FileImages(files, model.image_size, model.facts.geometry), files.labels, model.facts.classes)


def _compare_data(model: TrainedModel, known: DataFacts) -> None:
    """Compare the facts of the data set with those that the network was trained on."""
    differences = model.facts.differences(known)
    if not differences:
        return
    name, folder = model.source["name"], model.source["data_dir"]
    words = f"{model.path}: the data set {name} in {folder} differs from the training: {'; '.join(differences)}"
    if model.facts.classes != known.classes and not model.has_own_names:
        raise InputError(f"{words}; give `data_dir`, or `classes` if only the names differ")
    remark(words)


def check_classes(dataset: str, found: int, path: str, classes: int) -> None:
    """Raise InputError if a data set has another number of classes than the network of a file."""
    if found != classes:
        raise InputError(f"`dataset={dataset}` has {found} classes, the network of {path} has {classes}")
