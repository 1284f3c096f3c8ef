"""A network loaded from a parameter file, and the images of its data set: `LoadedModel`."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..data.file_images import FileImages
from ..data.image_set import DataFacts, ImageSet
from ..data.transforms import Transform
from ..datasets import catalog, recordio
from ..folders.image_sources import open_images
from ..folders.image_splits import describe_folder
from ..models.graphs import CALIBRATION_IMAGES
from ..models.spec import NetworkSpec
from ..options.counts import limit_count
from ..system.errors import InputError, remark
from .inference import compute_logits


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
    def parts(self) -> int:
        """Number of devices, which a batch is divided among."""
        return len(self.devices)

    def compute(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of normalised images, float32 (N, 3, H, W)."""
        return compute_logits(self.net, [(images, np.zeros(len(images), np.int32))], self.devices)[0]

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
        check_classes(self.source["name"], len(known.classes), self.path, self.network.classes)
        image_set = catalog.load_images(split=split, download=download, **self.source)
        if split == "test":
            height, width = image_set.images.shape[1:3]
            self._compare_data(dataclasses.replace(known, image_size=(height, width)))
        return image_set._replace(classes=self.facts.classes)

    def _images_of_folder(self, split: str) -> ImageSet:
        """Return the images of a split of a folder, which are read when they are asked for."""
        folder = open_images(self.source["data_dir"], **self.description.get("splits", {}))
        check_classes(self.source["name"], len(folder.train.classes), self.path, self.network.classes)
        files = folder.validation if split == "test" else folder.train
        if split == "test":
            self._compare_data(describe_folder(folder, self.facts))
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


def check_classes(dataset: str, found: int, path: str, classes: int) -> None:
    """Raise InputError if a data set has another number of classes than the network of a parameter file."""
    if found != classes:
        raise InputError(f"`dataset={dataset}` has {found} classes, the network of {path} has {classes}")
