"""A network loaded from a parameter file, and the images of its data set: `LoadedModel`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..data.facts import DataFacts
from ..data.transforms import Transform
from ..datasets import catalog, recordio
from ..models.attention_maps import AttentionMaps
from ..models.graphs import CALIBRATION_IMAGES
from ..models.spec import NetworkSpec
from ..options.counts import limit_count
from ..runtimes.choice import choose_for_network
from ..runtimes.converted import ConvertedNetwork
from ..zoo import packaged
from .inference import logits_function
from .masks import MaskGraph, grad_cam
from .model_images import read_images


class LoadedModel(NamedTuple):
    """A network loaded from a parameter file, with its data facts.

    Attributes
    ----------
    path : str
        The parameter file as it was given: a path, or the name of packaged parameters.
    net : HybridBlock
        The network with its parameters, or another graph of it: see `evaluation.open_network.open_model`.
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
    converted : ConvertedNetwork, optional
        What computes in place of MXNet.
    """

    path: str
    net: Any
    network: NetworkSpec
    facts: DataFacts
    source: Dict[str, str]
    description: Dict[str, Any]
    devices: List[Any]
    has_own_names: bool = False
    converted: Optional[ConvertedNetwork] = None

    def convert(self, runtime: str, precision: str = "float32", is_choice: bool = True) -> LoadedModel:
        """Return the model as an engine computes it; the parameters are those of `ConvertedNetwork`."""
        by_mxnet = logits_function(self.net, self.devices)
        return self._replace(converted=ConvertedNetwork(self.net, by_mxnet, runtime, precision, is_choice))

    def by_faster_engine(self, pixels: int) -> LoadedModel:
        """Return the model as an engine computes it, if that pays for this number of pixels, else the model itself.

        A model that is not on the CPU as one device, or that has an engine, stays as it is.
        """
        if self.converted or self.parts > 1 or self.devices[0].device_type != "cpu":
            return self
        engine = choose_for_network(self.path, pixels=pixels)
        return self if engine is None else self.convert(engine, is_choice=False)

    @property
    def file(self) -> str:
        """Path of the parameter file."""
        return packaged.resolve_path(self.path)

    @property
    def network_facts(self) -> Dict[str, Any]:
        """The `NetworkSpec` as a dict of JSON types."""
        return self.network.to_dict()

    @property
    def splits(self) -> Dict[str, Any]:
        """Of a folder of images: arguments of `image_sources.open_images`."""
        return self.description.get("splits", {})

    @property
    def computed_by(self) -> Dict[str, str]:
        """What computes, for reports: `runtime` and `precision`."""
        if self.converted is None:
            return {"runtime": "mxnet", "precision": "float32"}
        return {"runtime": self.converted.runtime, "precision": self.converted.precision}

    @property
    def transform(self) -> Transform:
        """Transform of a test image: from uint8 pixels to the input of the network."""
        return Transform(self.facts.mean, self.facts.std, self.network.classes)

    @property
    def parts(self) -> int:
        """Number of devices, which a batch is divided among."""
        return len(self.devices)

    def mask_function(self) -> Callable[[np.ndarray], List[AttentionMaps]]:
        """Return what computes the masks of each module for normalised images (N, 3, H, W).

        Raises
        ------
        InputError
            If the network has no masks.
        """
        return MaskGraph(self.net)

    def grad_cam(self, images: np.ndarray) -> np.ndarray:
        """Return `masks.grad_cam` of normalised images."""
        return grad_cam(self.net, images)

    def compute(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of normalised images, float32 (N, 3, H, W)."""
        return (self.converted or logits_function(self.net, self.devices))(images)

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
        train_set = read_images(self, "train", download)
        total = len(train_set.labels)
        if count:
            count = limit_count("calibration_images", count, total, "training images")
        rows = np.random.default_rng(0).permutation(total)[: count or CALIBRATION_IMAGES]
        return self.transform(train_set.images[rows], train_set.labels[rows])[0]
